DROP TABLE "rolecall"."denials";
