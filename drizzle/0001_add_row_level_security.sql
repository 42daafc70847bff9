-- What "allowed" means, a second time: in SQL, for the row-level policies of neighbours. `domain/decision` is the first.
-- The tests ask both the same questions. In PL/pgSQL, because a session then plans each query once and not at every call.

-- Where somebody holds a permission, and where it is denied: as beginnings of paths, each with the slash that ends it, so
-- that `org/ac/` begins no `org/acme/`. The empty text begins everything.
CREATE TYPE "rolecall"."held_scopes" AS ("allowed" text[], "denied" text[]);
--> statement-breakpoint
-- Whether a scope is among those held and not among those denied. No scope, or what is none, is never.
CREATE FUNCTION "rolecall"."covers"("held" "rolecall"."held_scopes", "scope" text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(
		length(scope) <= 255 AND scope ~ '^([A-Za-z0-9._~:@-]+(/[A-Za-z0-9._~:@-]+)*)?$'
		AND ((scope || '/') COLLATE "C") ^@ ANY (held.allowed)
		AND NOT ((scope || '/') COLLATE "C") ^@ ANY (held.denied), false);
END $$;
--> statement-breakpoint
-- These roles and every role that includes one of them, however deep.
CREATE FUNCTION "rolecall"."including"("roles" bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY WITH RECURSIVE reached (pk) AS (
		SELECT unnest(roles)
		UNION
		SELECT include.role_pk FROM reached JOIN rolecall.role_includes AS include ON include.included_pk = reached.pk
		WHERE NOT include.withheld AND NOT EXISTS (
			SELECT FROM rolecall.role_includes AS tombstone
			WHERE tombstone.role_pk = include.role_pk AND tombstone.included_pk = include.included_pk AND tombstone.withheld)
	)
	SELECT pk FROM reached;
END $$;
--> statement-breakpoint
-- Where a user has a role, by itself or through one that includes it, now. Nowhere for a user who is not active.
CREATE FUNCTION "rolecall"."scopes_of_role"("who" text, "role" text) RETURNS "rolecall"."held_scopes"
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT ROW(array(
		SELECT coalesce(nullif(given.scope, '') || '/', '')
		FROM rolecall.users JOIN rolecall.user_roles AS given ON given.user_pk = users.pk
		WHERE users.id = who AND users.active
			AND coalesce(given.starts_at <= statement_timestamp(), true)
			AND coalesce(statement_timestamp() < given.expires_at, true)
			AND given.role_pk IN (SELECT rolecall.including(array(SELECT pk FROM rolecall.roles WHERE key = role)))
	), ARRAY[]::text[])::rolecall.held_scopes);
END $$;
--> statement-breakpoint
-- Where a user has a permission, now: what grants and allow exceptions give, and what deny exceptions take away.
CREATE FUNCTION "rolecall"."scopes_of_permission"("who" text, "slug" text) RETURNS "rolecall"."held_scopes"
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (WITH person AS (
		SELECT pk FROM rolecall.users WHERE id = who AND active
	), asked AS (
		SELECT pk FROM rolecall.permissions WHERE permissions.slug = scopes_of_permission.slug AND retired_at IS NULL
	), giving AS (
		SELECT rolecall.including(array(
			SELECT edge.role_pk FROM rolecall.role_permissions AS edge JOIN asked ON edge.permission_pk = asked.pk
			GROUP BY edge.role_pk HAVING NOT bool_or(edge.withheld))) AS pk
	), given AS (
		SELECT 'allow' AS effect, held.scope, held.starts_at, held.expires_at
		FROM person JOIN rolecall.user_roles AS held ON held.user_pk = person.pk
		WHERE held.role_pk IN (SELECT pk FROM giving)
		UNION ALL
		SELECT held.effect, held.scope, held.starts_at, held.expires_at
		FROM person JOIN rolecall.user_permissions AS held ON held.user_pk = person.pk
		JOIN asked ON held.permission_pk = asked.pk
	), standing AS (
		SELECT effect, coalesce(nullif(scope, '') || '/', '') AS beginning FROM given
		WHERE coalesce(starts_at <= statement_timestamp(), true) AND coalesce(statement_timestamp() < expires_at, true)
	)
	SELECT ROW(
		array(SELECT beginning FROM standing WHERE effect = 'allow'),
		array(SELECT beginning FROM standing WHERE effect = 'deny'))::rolecall.held_scopes);
END $$;
--> statement-breakpoint
CREATE FUNCTION "rolecall"."has_role"("who" text, "role" text, "scope" text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN rolecall.covers(rolecall.scopes_of_role(who, role), scope);
END $$;
--> statement-breakpoint
CREATE FUNCTION "rolecall"."has_permission"("who" text, "slug" text, "scope" text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN rolecall.covers(rolecall.scopes_of_permission(who, slug), scope);
END $$;
--> statement-breakpoint
-- For whom this transaction works: whom `rolecall.user_id` names, or whom the verified claims in `request.jwt.claims` name
-- by issuer and subject. Where both are set they must name the same user. Null is nobody: neither set, somebody unknown
-- or not active, or the two disagree.
CREATE FUNCTION "rolecall"."current_user_id"() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (WITH said AS (
		SELECT nullif(current_setting('rolecall.user_id', true), '') AS setting,
			nullif(current_setting('request.jwt.claims', true), '')::jsonb AS claims
	), named AS (
		SELECT setting IS NOT NULL AS by_setting, claims IS NOT NULL AS by_claims,
			(SELECT pk FROM rolecall.users WHERE id = setting) AS of_setting,
			(SELECT user_pk FROM rolecall.identities WHERE issuer = claims ->> 'iss' AND subject = claims ->> 'sub'
				AND jsonb_typeof(claims -> 'iss') = 'string' AND jsonb_typeof(claims -> 'sub') = 'string') AS of_claims
		FROM said
	)
	SELECT id FROM rolecall.users WHERE active AND pk = (
		SELECT CASE WHEN NOT by_claims THEN of_setting WHEN NOT by_setting THEN of_claims
			WHEN of_setting = of_claims THEN of_setting END
		FROM named));
END $$;
--> statement-breakpoint
CREATE FUNCTION "rolecall"."scopes_of"("slug" text) RETURNS "rolecall"."held_scopes"
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN rolecall.scopes_of_permission(rolecall.current_user_id(), slug);
END $$;
--> statement-breakpoint
CREATE FUNCTION "rolecall"."can"("slug" text, "scope" text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN rolecall.covers(rolecall.scopes_of(slug), scope);
END $$;
--> statement-breakpoint
-- Whether this role owns a table, or has what its owner has, or is one of `rolecall_owner`, which need not exist. These
-- two are asked by every statement of the service: a pinned search_path would cost more than they do, so that all they
-- name is named in full.
CREATE FUNCTION "rolecall"."acts_for_owner"("of_table" regclass) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
	IF pg_catalog.pg_has_role(current_user, (
		SELECT relowner FROM pg_catalog.pg_class WHERE pg_class.oid OPERATOR(pg_catalog.=) of_table), 'USAGE') THEN
		RETURN true;
	END IF;
	RETURN coalesce(pg_catalog.pg_has_role(current_user, pg_catalog.to_regrole('rolecall_owner'), 'USAGE'), false);
END $$;
--> statement-breakpoint
-- Whether this role is one of `rolecall_service`, which need not exist.
CREATE FUNCTION "rolecall"."acts_for_service"() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
	RETURN coalesce(pg_catalog.pg_has_role(current_user, pg_catalog.to_regrole('rolecall_service'), 'USAGE'), false);
END $$;
--> statement-breakpoint
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA "rolecall" FROM PUBLIC;
--> statement-breakpoint
-- Whoever is neither sees no row of ours, whatever a stray grant lets them do. A sub-select is asked once a statement.
ALTER TABLE "rolecall"."users" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."users" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."users" USING ((SELECT rolecall.acts_for_owner('rolecall.users'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."users" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."identities" USING ((SELECT rolecall.acts_for_owner('rolecall.identities'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."identities" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."roles" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."roles" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."roles" USING ((SELECT rolecall.acts_for_owner('rolecall.roles'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."roles" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."permissions" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."permissions" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."permissions" USING ((SELECT rolecall.acts_for_owner('rolecall.permissions'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."permissions" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."role_includes" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."role_includes" USING ((SELECT rolecall.acts_for_owner('rolecall.role_includes'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."role_includes" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."role_permissions" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."role_permissions" USING ((SELECT rolecall.acts_for_owner('rolecall.role_permissions'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."role_permissions" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."user_roles" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."user_roles" USING ((SELECT rolecall.acts_for_owner('rolecall.user_roles'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."user_roles" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."user_permissions" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."user_permissions" USING ((SELECT rolecall.acts_for_owner('rolecall.user_permissions'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."user_permissions" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."api_keys" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."api_keys" USING ((SELECT rolecall.acts_for_owner('rolecall.api_keys'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."api_keys" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."matrix_layers" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."matrix_layers" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."matrix_layers" USING ((SELECT rolecall.acts_for_owner('rolecall.matrix_layers'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."matrix_layers" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."epochs" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."epochs" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."epochs" USING ((SELECT rolecall.acts_for_owner('rolecall.epochs'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."epochs" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."revision" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."revision" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."revision" USING ((SELECT rolecall.acts_for_owner('rolecall.revision'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."revision" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."journal" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."journal" USING ((SELECT rolecall.acts_for_owner('rolecall.journal'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."journal" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."personal" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."personal" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."personal" USING ((SELECT rolecall.acts_for_owner('rolecall.personal'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."personal" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."idempotency" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."idempotency" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."idempotency" USING ((SELECT rolecall.acts_for_owner('rolecall.idempotency'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."idempotency" USING ((SELECT rolecall.acts_for_service()));
--> statement-breakpoint
ALTER TABLE "rolecall"."migrations" ENABLE ROW LEVEL SECURITY;
--> statement-breakpoint
ALTER TABLE "rolecall"."migrations" FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY "owner" ON "rolecall"."migrations" USING ((SELECT rolecall.acts_for_owner('rolecall.migrations'::regclass)));
--> statement-breakpoint
CREATE POLICY "service" ON "rolecall"."migrations" USING ((SELECT rolecall.acts_for_service()));
