-- Takes everything away, in the reverse order of its making; a dependent of somebody else's stops it.
DROP TABLE "rolecall"."personal";
DROP TABLE "rolecall"."journal";
DROP TABLE "rolecall"."idempotency";
DROP TABLE "rolecall"."revision";
DROP TABLE "rolecall"."epochs";
DROP TABLE "rolecall"."matrix_layers";
DROP TABLE "rolecall"."api_keys";
DROP TABLE "rolecall"."user_permissions";
DROP TABLE "rolecall"."user_roles";
DROP TABLE "rolecall"."role_permissions";
DROP TABLE "rolecall"."role_includes";
DROP TABLE "rolecall"."identities";
DROP TABLE "rolecall"."permissions";
DROP TABLE "rolecall"."roles";
DROP TABLE "rolecall"."users";
DROP TABLE "rolecall"."migrations";
-- A schema that somebody else made for us, or that we could not make again, is left as it is.
DO $$ BEGIN
	IF (SELECT pg_catalog.pg_get_userbyid(nspowner) = current_user FROM pg_catalog.pg_namespace WHERE nspname = 'rolecall')
		AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') THEN
		DROP SCHEMA "rolecall";
	END IF;
END $$;
