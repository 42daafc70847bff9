CREATE TABLE "rolecall"."denials" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."denials_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"time" timestamp (3) with time zone NOT NULL,
	"actor_pk" bigint,
	"credential_pk" bigint,
	"request_id" text COLLATE "C" NOT NULL,
	"method" text COLLATE "C" NOT NULL,
	"route" text COLLATE "C" NOT NULL,
	"code" text COLLATE "C" NOT NULL,
	"subject" text COLLATE "C",
	"target" text COLLATE "C",
	"scope" text COLLATE "C",
	"times" integer NOT NULL
);

--> statement-breakpoint
ALTER TABLE "rolecall"."denials" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."denials" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."denials" USING ((SELECT rolecall.acts_for_owner('rolecall.denials'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."denials" USING ((SELECT rolecall.acts_for_service()));
