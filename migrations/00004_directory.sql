-- +goose Up
-- Who the people of the directory are for Sealpost: an id of our own for every entry, minted once. It outlives renames,
-- and a login that is given to somebody else later gets another id, because the entry is another one.
create schema directory;

create table directory.person (
  id         uuid primary key,
  target     text not null check (target <> ''),                     -- the directory, as configured (name)
  source_id  text not null check (octet_length(source_id) between 1 and 128), -- the entry's own id there: entryUUID, objectGUID
  login      text not null,                                          -- as first seen; for readers of this table alone
  name       text not null,                                          -- as first seen; for readers of this table alone
  first_seen timestamptz not null,
  constraint person_source unique (target, source_id)
);

grant usage on schema directory to "sealpost_directory";
-- Never changed, never removed: certificates, deposits and the audit log refer to the id.
grant select, insert on directory.person to "sealpost_directory";
