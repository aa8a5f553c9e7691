-- +goose Up
-- Further directories that people's certificates are shown in (package jobs). Each has a list of its own, so that one that is
-- away holds up no other. Where there is none, nothing is written here, and an act's row costs what it did.
alter table publication.due add column copied boolean not null default false; -- to the further directories' lists

create table publication.due_further (
  id         bigint generated always as identity primary key,
  directory  text not null,
  person     uuid not null,
  attempts   int not null default 0,
  not_before timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index due_further_next on publication.due_further (directory, not_before, id);

grant update (copied) on publication.due to "sealpost_jobs";
grant select, insert, update (attempts, not_before), delete on publication.due_further to "sealpost_jobs";
