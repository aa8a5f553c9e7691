-- +goose Up
-- Certificates: what was written down before signing, what was signed, and what was revoked. Nothing is ever deleted.
create schema ca;

-- An issuer is one key with one certificate, for ever.
create table ca.issuer (
  id          text primary key check (id ~ '^[a-z0-9-]{1,64}$'),
  certificate bytea not null,                     -- DER
  changes     bigint not null default 0,          -- how many rows ca.revocation has for it; its lock orders them
  added_at    timestamptz not null
);

-- A serial exists from here on. The bytes are linted; nothing but their digest is ever signed.
-- Its issuer has no foreign key: each check would lock the one row that all share. Nobody may delete an issuer.
create table ca.prepared (
  issuer      text not null,
  serial      bytea not null check (length(serial) between 8 and 20 and get_byte(serial, 0) between 1 and 127),
  state       text not null check (state in ('prepared', 'issued', 'abandoned')),
  request     uuid not null,                      -- the enrolment's id
  profile     text not null,
  person      uuid not null,                      -- all zero for a component's certificate
  use         text not null,                      -- of the key, as in keyuse.key_use
  spki_sha256 bytea not null check (length(spki_sha256) = 32),
  key_usage   smallint not null,                  -- what the key may do: bits of the profile, not of the extension
  mailboxes   text[] not null,                    -- in lower case, for searching
  not_before  timestamptz not null,
  not_after   timestamptz not null,
  input       bytea not null check (length(input) = 32), -- SHA-256 of the request: the same id may not ask for something else
  digest      bytea not null check (length(digest) in (32, 48)), -- of tbs, with the hash that the issuer signs with
  tbs         bytea not null,                     -- TBSCertificate, DER
  prepared_at timestamptz not null,
  settled_at  timestamptz,                        -- issued or abandoned
  primary key (issuer, serial),
  check ((state = 'prepared') = (settled_at is null))
);
-- A request has one certificate of a profile, unless its issue was given up.
create unique index prepared_request on ca.prepared (request, profile) where state <> 'abandoned';
create index prepared_unsettled on ca.prepared (prepared_at) where state = 'prepared';
-- Keys of agents and of the system have one use each among themselves, which keyuse does not tell apart.
create index prepared_key on ca.prepared (spki_sha256) where use in ('agent', 'service');

-- Rows are inserted from what was prepared, in the statement that settles it; a foreign key would look that up again.
create table ca.certificate (
  number      bigint generated always as identity unique, -- order of issue; a cursor
  issuer      text not null,
  serial      bytea not null,
  request     uuid not null,
  profile     text not null,
  person      uuid not null,
  spki_sha256 bytea not null,
  mailboxes   text[] not null,
  not_before  timestamptz not null,
  not_after   timestamptz not null,
  issued_at   timestamptz not null,
  der         bytea not null,
  primary key (issuer, serial)
);
create index certificate_person on ca.certificate (person, profile, number);
create index certificate_key on ca.certificate (spki_sha256);
create index certificate_mailbox on ca.certificate using gin (mailboxes);

-- Every change of a certificate's standing, in the order of the issuer's count. The last one of a serial holds.
create table ca.revocation (
  issuer        text not null,
  change        bigint not null,
  serial        bytea not null,
  standing      text not null check (standing in ('revoked', 'held', 'released')),
  reason        smallint not null check (reason in (0, 1, 3, 4, 5, 6, 9)), -- RFC 5280 §5.3.1
  revoked_at    timestamptz not null,
  invalidity_at timestamptz,
  not_after     timestamptz not null,             -- the certificate's, so that lists need not look it up
  primary key (issuer, change),
  foreign key (issuer, serial) references ca.prepared,
  check ((standing = 'held') = (reason = 6))
);
create index revocation_serial on ca.revocation (issuer, serial, change);

grant usage on schema ca to "sealpost_ca";
grant select, insert, update (changes) on ca.issuer to "sealpost_ca";
grant select, insert, update (state, settled_at) on ca.prepared to "sealpost_ca";
grant select, insert on ca.certificate, ca.revocation to "sealpost_ca";
