ALTER TABLE "rolecall"."denials" ADD COLUMN "through_pk" bigint;
