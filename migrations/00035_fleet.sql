-- +goose Up
-- People's machines, as far as they have been heard of (package fleet). What a machine says of itself is its own word.
-- +goose StatementBegin
do $$
begin
  create role "sealpost_fleet" nologin;
exception when duplicate_object or unique_violation then null;
end $$;
-- +goose StatementEnd
grant "sealpost_fleet" to "sealpost_server";

create schema fleet;

create table fleet.machine (
  number      bigint generated always as identity primary key, -- a cursor
  person      uuid not null,
  id          uuid not null,            -- by the machine
  person_name text not null,
  first_at    timestamptz not null,
  last_at     timestamptz not null,     -- of contact
  reported_at timestamptz,              -- null: nothing was reported
  system      text not null default '',
  version     text not null default '',
  failure     text not null default '', -- code of what goes wrong now
  ends_at     timestamptz,              -- when the first of the current certificates does
  unique (person, id)
);
create index on fleet.machine (last_at, number);
create index on fleet.machine (ends_at, last_at) where ends_at is not null;
create index on fleet.machine (failure, number) where failure <> '';
create index on fleet.machine (system, number);
create index on fleet.machine (version, number);

-- What machines say of themselves, apart: to count machines, nobody reads it.
create table fleet.report (
  machine bigint primary key references fleet.machine on delete cascade,
  report  jsonb not null
);

grant usage on schema fleet to "sealpost_fleet";
grant select, insert, delete on fleet.machine to "sealpost_fleet";
grant update (person_name, last_at, reported_at, system, version, failure, ends_at) on fleet.machine to "sealpost_fleet";
grant select, insert, update (report) on fleet.report to "sealpost_fleet";
grant usage on schema audit to "sealpost_fleet";
grant usage on sequence audit.event_id to "sealpost_fleet";
grant insert on audit.event, audit.pending to "sealpost_fleet";
