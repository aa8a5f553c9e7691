-- +goose Up
-- People whose directory entries are to be looked at (package jobs). An act adds a row in its own transaction, and never
-- touches one that is there; who works on the list takes off what it read before.
create schema publication;

create table publication.due (
  id         bigint generated always as identity primary key,
  person     uuid not null,
  attempts   int not null default 0,
  not_before timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

grant usage on schema publication to "sealpost_jobs", "sealpost_ca", "sealpost_enroll";
grant insert on publication.due to "sealpost_ca", "sealpost_enroll";
grant select, update (attempts, not_before), delete on publication.due to "sealpost_jobs";
