-- +goose Up
-- The audit log. Rooms add events in their own transactions; the sequencer gives committed events an index a moment
-- later, in a Merkle tree whose root it signs. Nobody may change or remove a row, except that the sequencer takes the
-- ones it has indexed out of pending.
create schema audit;

create sequence audit.event_id;

create table audit.event (
  id      bigint primary key check (id > 0), -- from event_id; has gaps, and is not the order of the log
  body    text not null check (octet_length(body) between 2 and 65536), -- JSON: exactly the bytes that are hashed
  -- What follows repeats the body, to search by; `audit verify` compares.
  at      timestamptz not null,
  kind    text not null,
  subject text not null,
  person  uuid not null,                 -- whom it is about; all zero for nobody
  actor   uuid not null                  -- who did it; all zero for the system or somebody unknown
);
create index event_subject on audit.event (subject, id);
create index event_kind on audit.event (kind, id);
create index event_person on audit.event (person, id) where person <> '00000000-0000-0000-0000-000000000000';

-- Events that have no index yet, each with the hash that was computed when it was appended.
create table audit.pending (
  event bigint primary key,
  hash  bytea not null check (octet_length(hash) = 32)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- The log: index 0, 1, 2 … without gaps.
create table audit.leaf (
  idx   bigint primary key check (idx >= 0),
  event bigint not null,
  hash  bytea not null check (octet_length(hash) = 32), -- RFC 6962 leaf hash: SHA-256(0x00 || body)
  constraint leaf_event unique (event)
);
create index leaf_hash on audit.leaf (hash);

-- The tree above the leaves: the roots of complete subtrees of 256^level leaves. Rows 256k … 256k+255 of one level are a
-- tile of height 8 (golang.org/x/mod/sumdb/tlog); the tiles of level 0 are the leaves themselves.
create table audit.node (
  level smallint not null check (level between 1 and 7),
  n     bigint not null check (n >= 0),
  hash  bytea not null check (octet_length(hash) = 32),
  primary key (level, n)
);

-- Signed roots (c2sp.org/tlog-checkpoint), one for each batch that was indexed.
create table audit.checkpoint (
  size      bigint primary key check (size > 0), -- how many events it covers
  note      text not null,
  signed_at timestamptz not null
);

grant usage on schema audit to "sealpost_audit", "sealpost_sequencer", "sealpost_ca", "sealpost_archive", "sealpost_directory",
  "sealpost_enroll", "sealpost_crl", "sealpost_gal", "sealpost_web";

-- Whoever acts may add, and read nothing.
grant usage on sequence audit.event_id to "sealpost_audit", "sealpost_ca", "sealpost_archive", "sealpost_directory",
  "sealpost_enroll", "sealpost_crl", "sealpost_gal", "sealpost_web";
grant insert on audit.event, audit.pending to "sealpost_audit", "sealpost_ca", "sealpost_archive", "sealpost_directory",
  "sealpost_enroll", "sealpost_crl", "sealpost_gal", "sealpost_web";

grant select on audit.event, audit.pending, audit.leaf, audit.node, audit.checkpoint to "sealpost_audit";

-- The sequencer sees hashes only.
grant select, delete on audit.pending to "sealpost_sequencer";
grant select, insert on audit.leaf, audit.node, audit.checkpoint to "sealpost_sequencer";
