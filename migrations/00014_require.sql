-- +goose Up
-- Conditions within a transaction that is sent as one batch (package pg): the statement fails unless the condition holds.
create schema require;

-- +goose StatementBegin
create function require.that(condition boolean) returns boolean language plpgsql as $$
begin
  if condition is not true then
    raise exception using errcode = 'SP001', message = 'a condition does not hold';
  end if;
  return true;
end $$;
-- +goose StatementEnd

grant usage on schema require to "sealpost_jobs", "sealpost_audit", "sealpost_sequencer", "sealpost_ca", "sealpost_archive",
  "sealpost_directory", "sealpost_enroll", "sealpost_crl", "sealpost_gal", "sealpost_web";

-- A claim on a key, in one statement: whether the key now has this use and this person. It waits for another transaction
-- that claims the same key, and sees what that one left.
-- +goose StatementBegin
create function keyuse.claim(key bytea, for_use text, for_person uuid, at timestamptz) returns boolean language plpgsql as $$
begin
  insert into keyuse.key_use (spki_sha256, use, person, claimed_at) values (key, for_use, for_person, at)
    on conflict (spki_sha256) do nothing;
  return found or exists (
    select from keyuse.key_use k where k.spki_sha256 = key and k.use = for_use and k.person = for_person);
end $$;
-- +goose StatementEnd
