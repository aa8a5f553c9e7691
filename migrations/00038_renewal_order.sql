-- +goose Up
-- Orders to renew certificates before their time, because an algorithm or a key is not to be relied on any more.
create table enroll.renewal_order (
  number        bigint generated always as identity primary key,
  made_by       jsonb not null,
  made_at       timestamptz not null,
  reason        text not null check (length(reason) between 1 and 500), -- people read it
  algorithm     text,  -- of the certificate's key. Null, as in the next columns: any
  spki_sha256   bytea check (length(spki_sha256) = 32),
  issuer        text,
  profile       text,
  person        uuid,
  issued_before timestamptz,           -- null: no matter when
  hours         integer not null check (hours between 0 and 2160), -- over which machines are spread
  withdrawn_by  jsonb,
  withdrawn_at  timestamptz,
  check (num_nonnulls(algorithm, spki_sha256, issuer, profile, person) > 0),
  check ((withdrawn_at is null) = (withdrawn_by is null))
);
create index renewal_order_open on enroll.renewal_order (number) where withdrawn_at is null;

grant select, insert on enroll.renewal_order to "sealpost_enroll";
grant update (withdrawn_by, withdrawn_at) on enroll.renewal_order to "sealpost_enroll";
