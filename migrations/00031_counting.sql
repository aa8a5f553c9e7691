-- +goose Up
-- What operators and auditors ask for is found without reading everything: events of a time or of who did them, and how many
-- certificates were issued, revoked and end when.
create index event_at on audit.event (at);
create index event_actor on audit.event (actor, id) where actor <> '00000000-0000-0000-0000-000000000000';

create index certificate_issued on ca.certificate (issued_at);
create index certificate_end on ca.certificate (not_after);
create index revocation_time on ca.revocation (revoked_at);
create index revocation_end on ca.revocation (not_after);
