-- A key with a scope would count everywhere to the release before.
ALTER TABLE "rolecall"."api_keys" DROP CONSTRAINT "api_keys_scope_form";
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" DROP COLUMN "through_pk";
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" DROP COLUMN "last_used_at";
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" DROP COLUMN "scope";
