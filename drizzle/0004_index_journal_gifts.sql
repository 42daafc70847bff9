-- rolecall: no transaction
CREATE INDEX CONCURRENTLY "journal_gifts_index" ON "rolecall"."journal" USING btree ("kind",(coalesce(role_pk, permission_pk)),(after ->> 'scope'),"user_pk") WHERE "rolecall"."journal"."kind" in ('grant_set', 'exception_set');
