-- rolecall: no transaction
DROP INDEX CONCURRENTLY "rolecall"."journal_gifts_index";
