-- A neighbour's policy that asks one of our functions stops it.
DO $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT relname FROM pg_catalog.pg_class
		WHERE relnamespace = 'rolecall'::regnamespace AND relkind = 'r' AND relrowsecurity
	LOOP
		EXECUTE format('DROP POLICY service ON rolecall.%I', name);
		EXECUTE format('DROP POLICY owner ON rolecall.%I', name);
		EXECUTE format('ALTER TABLE rolecall.%I NO FORCE ROW LEVEL SECURITY', name);
		EXECUTE format('ALTER TABLE rolecall.%I DISABLE ROW LEVEL SECURITY', name);
	END LOOP;
END $$;
--> statement-breakpoint
DROP FUNCTION "rolecall"."acts_for_service"();
--> statement-breakpoint
DROP FUNCTION "rolecall"."acts_for_owner"(regclass);
--> statement-breakpoint
DROP FUNCTION "rolecall"."can"(text, text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."scopes_of"(text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."current_user_id"();
--> statement-breakpoint
DROP FUNCTION "rolecall"."has_permission"(text, text, text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."has_role"(text, text, text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."scopes_of_permission"(text, text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."scopes_of_role"(text, text);
--> statement-breakpoint
DROP FUNCTION "rolecall"."including"(bigint[]);
--> statement-breakpoint
DROP FUNCTION "rolecall"."covers"("rolecall"."held_scopes", text);
--> statement-breakpoint
DROP TYPE "rolecall"."held_scopes";
