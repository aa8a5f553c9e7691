-- +goose Up
-- Archived private encryption keys. Only role archive reads them, and what it reads opens nothing: see docs/archive-format.md.
create schema archive;

-- Roster files that were brought in. Which of them may receive keys is said by the pins in the configuration, not here.
create table archive.roster (
  hash     bytea primary key check (length(hash) = 32),
  key_id   bytea not null check (length(key_id) = 32),
  epoch    bigint not null,
  file     bytea not null,
  added_at timestamptz not null
);

create table archive.record (
  id           uuid primary key,
  request      uuid not null unique,  -- the enrolment whose encryption key this is
  person       uuid not null,
  spki_sha256  bytea not null unique check (length(spki_sha256) = 32),
  key_id       bytea not null,
  wrapping_id  bytea not null,        -- the wrapping key of the outer layer
  state        text not null check (state in ('held', 'kept')), -- held: until its request is issued
  sealed       bytea not null,
  receipt      bytea not null,        -- signed
  leaf_hash    bytea not null check (length(leaf_hash) = 32),
  event        bigint not null,       -- of the deposit, in the audit log
  deposited_at timestamptz not null
);
create index on archive.record (person, deposited_at);
create index on archive.record (deposited_at) where state = 'held';

grant usage on schema archive to "sealpost_archive";
grant select, insert on archive.roster to "sealpost_archive";
-- A kept record is never changed but for its outer layer, and only a held one may go.
grant select, insert, delete, update (state, wrapping_id, sealed) on archive.record to "sealpost_archive";

-- +goose StatementBegin
create function archive.only_held_records_go() returns trigger language plpgsql as $$
begin
  if old.state <> 'held' then
    raise exception 'record % is kept and cannot be deleted', old.id;
  end if;
  return old;
end $$;
-- +goose StatementEnd
create trigger only_held_records_go before delete on archive.record
  for each row execute function archive.only_held_records_go();
