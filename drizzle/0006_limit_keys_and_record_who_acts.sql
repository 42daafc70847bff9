ALTER TABLE "rolecall"."api_keys" ADD COLUMN "scope" text COLLATE "C" DEFAULT '' NOT NULL;
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" ADD COLUMN "last_used_at" timestamp (3) with time zone;
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" ADD COLUMN "through_pk" bigint;
--> statement-breakpoint
-- Validated at once: keys are few, and none has a scope yet.
ALTER TABLE "rolecall"."api_keys" ADD CONSTRAINT "api_keys_scope_form" CHECK (length("rolecall"."api_keys"."scope") <= 255 and "rolecall"."api_keys"."scope" ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$') NOT VALID;
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" VALIDATE CONSTRAINT "api_keys_scope_form";
