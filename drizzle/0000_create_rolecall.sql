-- The schema may have been made beforehand for a role that may create nothing else in this database.
DO $$ BEGIN
	IF to_regnamespace('rolecall') IS NULL THEN
		CREATE SCHEMA "rolecall";
	END IF;
END $$;
--> statement-breakpoint
CREATE TABLE "rolecall"."users" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."users_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"id" text COLLATE "C" NOT NULL,
	"email" text COLLATE "C",
	"active" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_id_key" UNIQUE("id"),
	CONSTRAINT "users_email_key" UNIQUE("email"),
	CONSTRAINT "users_id_length" CHECK (char_length("rolecall"."users"."id") between 1 and 255),
	CONSTRAINT "users_id_not_dots" CHECK ("rolecall"."users"."id" not in ('.', '..')),
	CONSTRAINT "users_email_normalized" CHECK ("rolecall"."users"."email" ~ '^[!-?\[-~]+@[!-?\[-~]+$' and char_length("rolecall"."users"."email") <= 254)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."identities" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."identities_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"user_pk" bigint NOT NULL,
	"issuer" text COLLATE "C" NOT NULL,
	"subject" text COLLATE "C" NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "identities_issuer_subject_key" UNIQUE("issuer","subject"),
	CONSTRAINT "identities_issuer_length" CHECK (char_length("rolecall"."identities"."issuer") between 1 and 255),
	CONSTRAINT "identities_subject_length" CHECK (char_length("rolecall"."identities"."subject") between 1 and 255)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."roles" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."roles_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"key" text COLLATE "C" NOT NULL,
	"name" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"is_system" boolean DEFAULT false NOT NULL,
	"declared_in" text COLLATE "C",
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "roles_key_key" UNIQUE("key"),
	CONSTRAINT "roles_key_form" CHECK ("rolecall"."roles"."key" ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$' and length("rolecall"."roles"."key") <= 100),
	CONSTRAINT "roles_system_is_declared" CHECK (not "rolecall"."roles"."is_system" or "rolecall"."roles"."declared_in" is not null)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."permissions" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."permissions_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"resource" text COLLATE "C" NOT NULL,
	"action" text COLLATE "C" NOT NULL,
	"slug" text COLLATE "C" GENERATED ALWAYS AS ("rolecall"."permissions"."resource" || '_' || "rolecall"."permissions"."action") STORED NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"declared_in" text COLLATE "C",
	"retired_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "permissions_slug_key" UNIQUE("slug"),
	CONSTRAINT "permissions_resource_form" CHECK ("rolecall"."permissions"."resource" ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length("rolecall"."permissions"."resource") <= 100),
	CONSTRAINT "permissions_action_form" CHECK ("rolecall"."permissions"."action" ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' and length("rolecall"."permissions"."action") <= 100)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."role_includes" (
	"role_pk" bigint NOT NULL,
	"included_pk" bigint NOT NULL,
	"origin" text COLLATE "C" NOT NULL,
	"withheld" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "role_includes_pkey" PRIMARY KEY("role_pk","included_pk","origin"),
	CONSTRAINT "role_includes_not_itself" CHECK ("rolecall"."role_includes"."role_pk" <> "rolecall"."role_includes"."included_pk"),
	CONSTRAINT "role_includes_origin_form" CHECK ("rolecall"."role_includes"."origin" ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$')
);
--> statement-breakpoint
CREATE TABLE "rolecall"."role_permissions" (
	"role_pk" bigint NOT NULL,
	"permission_pk" bigint NOT NULL,
	"origin" text COLLATE "C" NOT NULL,
	"withheld" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "role_permissions_pkey" PRIMARY KEY("role_pk","permission_pk","origin"),
	CONSTRAINT "role_permissions_origin_form" CHECK ("rolecall"."role_permissions"."origin" ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$')
);
--> statement-breakpoint
CREATE TABLE "rolecall"."user_roles" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."user_roles_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"user_pk" bigint NOT NULL,
	"role_pk" bigint NOT NULL,
	"origin" text COLLATE "C" DEFAULT 'api' NOT NULL,
	"scope" text COLLATE "C" DEFAULT '' NOT NULL,
	"starts_at" timestamp (3) with time zone,
	"expires_at" timestamp (3) with time zone,
	"reason" text,
	"granted_by" bigint,
	"granted_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_roles_user_role_scope_origin_key" UNIQUE("user_pk","role_pk","scope","origin"),
	CONSTRAINT "user_roles_scope_form" CHECK (length("rolecall"."user_roles"."scope") <= 255 and "rolecall"."user_roles"."scope" ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$'),
	CONSTRAINT "user_roles_starts_before_expiry" CHECK ("rolecall"."user_roles"."starts_at" < "rolecall"."user_roles"."expires_at")
);
--> statement-breakpoint
CREATE TABLE "rolecall"."user_permissions" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."user_permissions_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"user_pk" bigint NOT NULL,
	"permission_pk" bigint NOT NULL,
	"effect" text COLLATE "C" NOT NULL,
	"scope" text COLLATE "C" DEFAULT '' NOT NULL,
	"starts_at" timestamp (3) with time zone,
	"expires_at" timestamp (3) with time zone,
	"reason" text,
	"granted_by" bigint,
	"granted_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "user_permissions_user_permission_scope_key" UNIQUE("user_pk","permission_pk","scope"),
	CONSTRAINT "user_permissions_effect_known" CHECK ("rolecall"."user_permissions"."effect" in ('allow', 'deny')),
	CONSTRAINT "user_permissions_scope_form" CHECK (length("rolecall"."user_permissions"."scope") <= 255 and "rolecall"."user_permissions"."scope" ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$'),
	CONSTRAINT "user_permissions_starts_before_expiry" CHECK ("rolecall"."user_permissions"."starts_at" < "rolecall"."user_permissions"."expires_at")
);
--> statement-breakpoint
CREATE TABLE "rolecall"."api_keys" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "rolecall"."api_keys_pk_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"id" text COLLATE "C" NOT NULL,
	"user_pk" bigint NOT NULL,
	"name" text NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"permissions" text[],
	"expires_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	"created_by" bigint,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "api_keys_id_key" UNIQUE("id"),
	CONSTRAINT "api_keys_id_form" CHECK ("rolecall"."api_keys"."id" ~ '^[0-9A-Za-z]{12}$'),
	CONSTRAINT "api_keys_secret_hash_length" CHECK (octet_length("rolecall"."api_keys"."secret_hash") = 32),
	CONSTRAINT "api_keys_created_before_expiry" CHECK ("rolecall"."api_keys"."created_at" < "rolecall"."api_keys"."expires_at")
);
--> statement-breakpoint
CREATE TABLE "rolecall"."matrix_layers" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"position" integer NOT NULL,
	"content_hash" text COLLATE "C" NOT NULL,
	"content" jsonb NOT NULL,
	"applied_at_revision" bigint NOT NULL,
	CONSTRAINT "matrix_layers_position_key" UNIQUE("position"),
	CONSTRAINT "matrix_layers_id_form" CHECK ("rolecall"."matrix_layers"."id" ~ '^[a-z][a-z0-9]*([_-][a-z0-9]+)*$' and "rolecall"."matrix_layers"."id" <> 'api'),
	CONSTRAINT "matrix_layers_content_hash_form" CHECK ("rolecall"."matrix_layers"."content_hash" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "rolecall"."epochs" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"began_at_revision" bigint NOT NULL,
	"incarnation" text COLLATE "C" NOT NULL,
	"began_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "epochs_id_form" CHECK ("rolecall"."epochs"."id" ~ '^[0-9a-f]{12}$')
);
--> statement-breakpoint
CREATE TABLE "rolecall"."revision" (
	"only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"value" bigint NOT NULL,
	"catalogue_value" bigint NOT NULL,
	"epoch" text COLLATE "C" NOT NULL,
	"time" timestamp(6) with time zone NOT NULL,
	"journal_head" "bytea" NOT NULL,
	CONSTRAINT "revision_only_row" CHECK ("rolecall"."revision"."only_row"),
	CONSTRAINT "revision_catalogue_not_ahead" CHECK ("rolecall"."revision"."catalogue_value" between 0 and "rolecall"."revision"."value")
);
--> statement-breakpoint
CREATE TABLE "rolecall"."journal" (
	"revision" bigint NOT NULL,
	"number" integer NOT NULL,
	"time" timestamp(6) with time zone NOT NULL,
	"kind" text COLLATE "C" NOT NULL,
	"actor_kind" text COLLATE "C" NOT NULL,
	"actor_pk" bigint,
	"credential_pk" bigint,
	"request_id" text COLLATE "C",
	"user_pk" bigint,
	"role_pk" bigint,
	"permission_pk" bigint,
	"before" jsonb,
	"after" jsonb,
	"digests" jsonb NOT NULL,
	"hmac" "bytea" NOT NULL,
	CONSTRAINT "journal_pkey" PRIMARY KEY("revision","number"),
	CONSTRAINT "journal_actor_known" CHECK (("rolecall"."journal"."actor_kind" = 'user') = ("rolecall"."journal"."actor_pk" is not null)),
	CONSTRAINT "journal_actor_kind_known" CHECK ("rolecall"."journal"."actor_kind" in ('user', 'operator', 'service')),
	CONSTRAINT "journal_hmac_length" CHECK (octet_length("rolecall"."journal"."hmac") = 32)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."personal" (
	"revision" bigint NOT NULL,
	"number" integer NOT NULL,
	"field" text COLLATE "C" NOT NULL,
	"user_pk" bigint,
	"salt" "bytea" NOT NULL,
	"value" text NOT NULL,
	CONSTRAINT "personal_pkey" PRIMARY KEY("revision","number","field")
);
--> statement-breakpoint
CREATE TABLE "rolecall"."idempotency" (
	"credential" text COLLATE "C" NOT NULL,
	"key" text COLLATE "C" NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"answer" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_pkey" PRIMARY KEY("credential","key"),
	CONSTRAINT "idempotency_key_length" CHECK (char_length("rolecall"."idempotency"."key") between 1 and 128)
);
--> statement-breakpoint
CREATE TABLE "rolecall"."migrations" (
	"position" integer PRIMARY KEY NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"hash" text COLLATE "C" NOT NULL,
	"down_hash" text COLLATE "C" NOT NULL,
	"applied_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"applied_by" text COLLATE "C" DEFAULT current_user NOT NULL,
	CONSTRAINT "migrations_name_key" UNIQUE("name"),
	CONSTRAINT "migrations_hash_form" CHECK ("rolecall"."migrations"."hash" ~ '^[0-9a-f]{64}$'),
	CONSTRAINT "migrations_down_hash_form" CHECK ("rolecall"."migrations"."down_hash" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" ADD CONSTRAINT "identities_user_pk_users_pk_fk" FOREIGN KEY ("user_pk") REFERENCES "rolecall"."users"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" ADD CONSTRAINT "role_includes_role_pk_roles_pk_fk" FOREIGN KEY ("role_pk") REFERENCES "rolecall"."roles"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" ADD CONSTRAINT "role_includes_included_pk_roles_pk_fk" FOREIGN KEY ("included_pk") REFERENCES "rolecall"."roles"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" ADD CONSTRAINT "role_permissions_role_pk_roles_pk_fk" FOREIGN KEY ("role_pk") REFERENCES "rolecall"."roles"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" ADD CONSTRAINT "role_permissions_permission_pk_permissions_pk_fk" FOREIGN KEY ("permission_pk") REFERENCES "rolecall"."permissions"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" ADD CONSTRAINT "user_roles_user_pk_users_pk_fk" FOREIGN KEY ("user_pk") REFERENCES "rolecall"."users"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" ADD CONSTRAINT "user_roles_role_pk_roles_pk_fk" FOREIGN KEY ("role_pk") REFERENCES "rolecall"."roles"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" ADD CONSTRAINT "user_permissions_user_pk_users_pk_fk" FOREIGN KEY ("user_pk") REFERENCES "rolecall"."users"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" ADD CONSTRAINT "user_permissions_permission_pk_permissions_pk_fk" FOREIGN KEY ("permission_pk") REFERENCES "rolecall"."permissions"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" ADD CONSTRAINT "api_keys_user_pk_users_pk_fk" FOREIGN KEY ("user_pk") REFERENCES "rolecall"."users"("pk") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."revision" ADD CONSTRAINT "revision_epoch_epochs_id_fk" FOREIGN KEY ("epoch") REFERENCES "rolecall"."epochs"("id") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rolecall"."personal" ADD CONSTRAINT "personal_journal_fkey" FOREIGN KEY ("revision","number") REFERENCES "rolecall"."journal"("revision","number") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "identities_user_pk_index" ON "rolecall"."identities" USING btree ("user_pk");--> statement-breakpoint
CREATE INDEX "role_includes_included_pk_index" ON "rolecall"."role_includes" USING btree ("included_pk");--> statement-breakpoint
CREATE INDEX "role_permissions_permission_pk_index" ON "rolecall"."role_permissions" USING btree ("permission_pk");--> statement-breakpoint
CREATE INDEX "user_roles_holders_index" ON "rolecall"."user_roles" USING btree ("role_pk","scope","user_pk");--> statement-breakpoint
CREATE INDEX "user_permissions_holders_index" ON "rolecall"."user_permissions" USING btree ("permission_pk","scope","user_pk");--> statement-breakpoint
CREATE INDEX "api_keys_user_pk_index" ON "rolecall"."api_keys" USING btree ("user_pk");--> statement-breakpoint
CREATE INDEX "journal_user_pk_index" ON "rolecall"."journal" USING btree ("user_pk","revision");--> statement-breakpoint
CREATE INDEX "journal_role_pk_index" ON "rolecall"."journal" USING btree ("role_pk","revision");--> statement-breakpoint
CREATE INDEX "journal_permission_pk_index" ON "rolecall"."journal" USING btree ("permission_pk","revision");--> statement-breakpoint
CREATE INDEX "journal_actor_pk_index" ON "rolecall"."journal" USING btree ("actor_pk","revision");--> statement-breakpoint
CREATE INDEX "personal_user_pk_index" ON "rolecall"."personal" USING btree ("user_pk");--> statement-breakpoint
CREATE INDEX "idempotency_created_at_index" ON "rolecall"."idempotency" USING btree ("created_at");--> statement-breakpoint
INSERT INTO "rolecall"."epochs" ("id", "began_at_revision", "incarnation") VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12), 0,
	(SELECT system_identifier FROM pg_catalog.pg_control_system()) || '/' || left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)
	|| '/' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) || '/' || 'rolecall.revision'::regclass::oid);--> statement-breakpoint
INSERT INTO "rolecall"."revision" ("value", "catalogue_value", "epoch", "time", "journal_head")
SELECT 0, 0, "id", clock_timestamp(), decode(repeat('00', 32), 'hex') FROM "rolecall"."epochs";
