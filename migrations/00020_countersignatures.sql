-- +goose Up
-- Checkpoints of the audit log that recovery officers verified and countersigned (internal/audit/proof, Witness), in the
-- order in which they came. One that is not of this log, but signed by its key, is kept too: it shows that somebody was
-- shown another log.
create table audit.countersignature (
  id          bigint generated always as identity primary key,
  witness     text not null,  -- the officer's key, as the note calls it
  size        bigint not null check (size > 0),
  root        bytea not null check (octet_length(root) = 32),
  note        text not null,  -- signed by the log and the officer
  received_at timestamptz not null,
  unique (witness, size, root)
);
grant select, insert on audit.countersignature to "sealpost_audit";
