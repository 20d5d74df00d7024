-- Hosts and paths of applications behind a reverse proxy; NULL: none.

ALTER TABLE applications ADD COLUMN sites @json;
