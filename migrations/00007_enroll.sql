-- +goose Up
-- Requests for certificates, the tokens that stand for a login once, and the exchange keys that private encryption keys
-- are sent to.
create schema enroll;

create table enroll.request (
  id             uuid primary key,
  person         uuid not null,
  idempotency    text not null check (length(idempotency) between 8 and 128), -- the client's own name for the request
  body_sha256    bytea not null check (length(body_sha256) = 32),
  enrolment      text not null,
  state          text not null check (state in ('received', 'submitted', 'endorsed', 'issued', 'rejected', 'failed')),
  subject        jsonb not null,  -- person as the directory had it; what will be certified
  signing_spki   bytea,           -- SubjectPublicKeyInfo, DER
  encryption_spki bytea,
  by             jsonb not null,  -- the actor who asked
  reason         text,            -- why rejected or failed; the person reads it
  received_at    timestamptz not null,
  changed_at     timestamptz not null,
  unique (person, idempotency)
);
create index on enroll.request (changed_at) where state in ('received', 'endorsed');
create index on enroll.request (received_at, id) where state = 'submitted';

create table enroll.token (
  sha256   bytea primary key check (length(sha256) = 32), -- of the token; the token itself is never stored
  person   uuid not null,
  made_by  uuid not null,
  made_at  timestamptz not null,
  ends     timestamptz not null,
  request  uuid references enroll.request (id)            -- what it was spent on
);

create table enroll.exchange (
  id          uuid primary key,        -- also the request under which its certificate is issued
  sealed_key  bytea,                   -- PKCS#8, encrypted under the server's passphrase; null once destroyed
  certificate bytea,                   -- null until issued
  made_at     timestamptz not null,
  ends        timestamptz              -- notAfter of the certificate
);

grant usage on schema enroll to "sealpost_enroll";
grant select, insert, update on enroll.request, enroll.token, enroll.exchange to "sealpost_enroll";
grant delete on enroll.exchange to "sealpost_enroll"; -- keys that were never certified
