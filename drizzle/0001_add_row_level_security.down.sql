-- A neighbour's policy that asks one of our functions stops it.
DROP POLICY "service" ON "rolecall"."migrations";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."migrations";
--> statement-breakpoint
ALTER TABLE "rolecall"."migrations" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."migrations" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."idempotency";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."idempotency";
--> statement-breakpoint
ALTER TABLE "rolecall"."idempotency" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."idempotency" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."personal";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."personal";
--> statement-breakpoint
ALTER TABLE "rolecall"."personal" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."personal" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."journal";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."journal";
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."revision";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."revision";
--> statement-breakpoint
ALTER TABLE "rolecall"."revision" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."revision" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."epochs";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."epochs";
--> statement-breakpoint
ALTER TABLE "rolecall"."epochs" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."epochs" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."matrix_layers";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."matrix_layers";
--> statement-breakpoint
ALTER TABLE "rolecall"."matrix_layers" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."matrix_layers" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."api_keys";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."api_keys";
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."user_permissions";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."user_permissions";
--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."user_roles";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."user_roles";
--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."role_permissions";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."role_permissions";
--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."role_includes";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."role_includes";
--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."permissions";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."permissions";
--> statement-breakpoint
ALTER TABLE "rolecall"."permissions" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."permissions" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."roles";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."roles";
--> statement-breakpoint
ALTER TABLE "rolecall"."roles" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."roles" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."identities";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."identities";
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" DISABLE ROW LEVEL SECURITY;
--> statement-breakpoint
DROP POLICY "service" ON "rolecall"."users";
--> statement-breakpoint
DROP POLICY "owner" ON "rolecall"."users";
--> statement-breakpoint
ALTER TABLE "rolecall"."users" NO FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."users" DISABLE ROW LEVEL SECURITY;
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
