CREATE TABLE "rolecall"."mappings" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."mappings_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"id" text COLLATE "C" NOT NULL,
	"issuer" text COLLATE "C" NOT NULL,
	"claim" text[] NOT NULL,
	"value" text COLLATE "C" NOT NULL,
	"role_pk" bigint NOT NULL,
	"scope" text COLLATE "C" DEFAULT '' NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "mappings_id_key" UNIQUE("id"),
	CONSTRAINT "mappings_rule_key" UNIQUE("issuer","claim","value","role_pk","scope"),
	CONSTRAINT "mappings_issuer_form" CHECK ("rolecall"."mappings"."issuer" ~ '^[!-~]{1,255}$'),
	CONSTRAINT "mappings_claim_length" CHECK (cardinality("rolecall"."mappings"."claim") between 1 and 5 and char_length(array_to_string("rolecall"."mappings"."claim", '')) between 1 and 200),
	CONSTRAINT "mappings_value_length" CHECK (char_length("rolecall"."mappings"."value") between 1 and 200),
	CONSTRAINT "mappings_scope_form" CHECK (length("rolecall"."mappings"."scope") <= 255 and "rolecall"."mappings"."scope" ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$'),
	CONSTRAINT "mappings_role_pk_roles_pk_fk" FOREIGN KEY ("role_pk") REFERENCES "rolecall"."roles"("pk") ON DELETE restrict ON UPDATE no action
);
--> statement-breakpoint
CREATE TABLE "rolecall"."identity_mappings" (
	"identity_pk" bigint NOT NULL,
	"mapping_pk" bigint NOT NULL,
	CONSTRAINT "identity_mappings_pkey" PRIMARY KEY("identity_pk","mapping_pk"),
	CONSTRAINT "identity_mappings_identity_pk_identities_pk_fk" FOREIGN KEY ("identity_pk") REFERENCES "rolecall"."identities"("pk") ON DELETE restrict ON UPDATE no action,
	CONSTRAINT "identity_mappings_mapping_pk_mappings_pk_fk" FOREIGN KEY ("mapping_pk") REFERENCES "rolecall"."mappings"("pk") ON DELETE restrict ON UPDATE no action
);
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" ADD COLUMN "claims_issued_at" timestamp (3) with time zone;
--> statement-breakpoint
CREATE INDEX "identity_mappings_mapping_pk_index" ON "rolecall"."identity_mappings" USING btree ("mapping_pk");
--> statement-breakpoint
CREATE INDEX "mappings_role_pk_index" ON "rolecall"."mappings" USING btree ("role_pk");
--> statement-breakpoint
-- As every table of ours: rows for its owner and the service, and for nobody else.
ALTER TABLE "rolecall"."mappings" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."mappings" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."mappings" USING ((SELECT rolecall.acts_for_owner('rolecall.mappings'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."mappings" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."identity_mappings" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."identity_mappings" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."identity_mappings" USING ((SELECT rolecall.acts_for_owner('rolecall.identity_mappings'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."identity_mappings" USING ((SELECT rolecall.acts_for_service()));
