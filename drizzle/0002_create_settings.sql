CREATE TABLE "rolecall"."settings" (
	"key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "settings_key_form" CHECK ("rolecall"."settings"."key" ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length("rolecall"."settings"."key") <= 100),
	CONSTRAINT "settings_value_is_set" CHECK ("rolecall"."settings"."value" <> 'null')
);
--> statement-breakpoint
-- As every table of ours: rows for its owner and the service, and for nobody else.
ALTER TABLE "rolecall"."settings" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."settings" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."settings" USING ((SELECT rolecall.acts_for_owner('rolecall.settings'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."settings" USING ((SELECT rolecall.acts_for_service()));
