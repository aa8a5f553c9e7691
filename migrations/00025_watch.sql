-- +goose Up
-- The watcher of the directory (package directory): what changed there, noticed and not yet told on.

-- One row of each directory that is watched.
create table directory.watch (
  target        text primary key,
  looked_at     timestamptz,          -- when it was last looked whole, and everything told on
  lost_at       timestamptz,          -- when changes may last have been missed: everybody must be looked at
  failing_since timestamptz,
  failure       text,                 -- for operators
  check ((failing_since is null) = (failure is null))
);

-- How far each of its servers was read. A server is told by its own id, where it has one, else by its address.
create table directory.watermark (
  target    text not null,
  server    text not null,
  attribute text not null,      -- whose values these are
  began     text not null,      -- the first of them: entries that were made before are not new
  mark      text not null,      -- the highest that was read; marks compare as text
  since     timestamptz not null, -- when it was read
  primary key (target, server, attribute)
);

-- Entries that changed. Those told on stay as long as the next look may find the same change again.
create table directory.change (
  number     bigint generated always as identity, -- rises when the entry changes again
  target     text not null,
  source_id  text not null,        -- the entry's own id
  stamp      text not null,        -- the value that the change left
  noticed_at timestamptz not null,
  told_at    timestamptz,          -- null: not yet
  primary key (target, source_id)
);
create index on directory.change (target, number) where told_at is null;

grant select, insert, update on directory.watch, directory.watermark to "sealpost_directory";
grant select, insert, update, delete on directory.change to "sealpost_directory";
