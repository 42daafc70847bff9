-- Everything is at its default again, until the way up brings back what was set.
DROP TABLE "rolecall"."settings";
