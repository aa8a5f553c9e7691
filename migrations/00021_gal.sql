-- +goose Up
-- What the sweep through the directory found, and how far it has come (package gal).
create schema gal;

-- One row for each directory.
create table gal.sweep (
  target         text primary key,
  number         bigint not null,        -- of sweeps begun
  begun_at       timestamptz not null,
  ended_at       timestamptz,            -- null: under way
  phase          text not null check (phase in ('people', 'entries', 'repair', 'done')),
  cursor         uuid not null,          -- people: everybody up to here has been compared
  entries        int not null,           -- entries: so many have been gone through
  repaired       bigint not null,        -- repair: the last number of gal.drift that was tried
  repair         boolean not null,       -- whether it repairs what it finds
  beyond         boolean not null,       -- and however much that is
  people         int not null,           -- compared
  changed        int not null,           -- entries that were repaired
  foreign_values bigint not null,        -- values of others in people's entries
  stopped        text not null,          -- why it repaired nothing, or did not see everything; '' if it did
  failure        text not null,          -- of the last attempt to go on; '' if that worked
  check ((phase = 'done') = (ended_at is not null))
);

-- Entries that were not as they should be when they were last looked at.
create table gal.drift (
  number         bigint generated always as identity unique, -- a cursor
  target         text not null,
  entry          text not null,          -- the person's id, or entry: and the directory's own id
  person         uuid,                   -- null: nobody's whom we know
  dn             text not null,          -- '' if there is no entry
  kinds          text[] not null check (cardinality(kinds) > 0),
  missing        int not null,
  stale          int not null,
  foreign_values int not null,
  undecodable    int not null,
  held           int not null,           -- values of userCertificate
  failure        text not null,          -- of the last repair
  sweep          bigint not null,        -- its number
  seen_at        timestamptz not null,
  primary key (target, entry)
);

grant usage on schema gal to "sealpost_gal";
grant select, insert, update on gal.sweep to "sealpost_gal";
grant select, insert, update, delete on gal.drift to "sealpost_gal";
