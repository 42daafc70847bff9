-- What claims gave stays until it lapses; no token changes it until the way up brings the mappings back.
DROP TABLE "rolecall"."identity_mappings";
--> statement-breakpoint
DROP TABLE "rolecall"."mappings";
--> statement-breakpoint
ALTER TABLE "rolecall"."identities" DROP COLUMN "claims_issued_at";
