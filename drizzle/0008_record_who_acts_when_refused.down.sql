ALTER TABLE "rolecall"."denials" DROP COLUMN "through_pk";
