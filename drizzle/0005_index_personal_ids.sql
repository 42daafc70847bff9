-- rolecall: no transaction
CREATE INDEX CONCURRENTLY "personal_ids_index" ON "rolecall"."personal" USING btree ("value") WHERE "rolecall"."personal"."field" = 'id';
