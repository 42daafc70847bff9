-- rolecall: no transaction
DROP INDEX CONCURRENTLY "rolecall"."personal_ids_index";
