-- The keys that tokens are bound to, as thumbprints (RFC 9449); NULL: to none.

ALTER TABLE codes ADD COLUMN jkt @text;
ALTER TABLE refresh_tokens ADD COLUMN jkt @text;
ALTER TABLE access_tokens ADD COLUMN jkt @text;
