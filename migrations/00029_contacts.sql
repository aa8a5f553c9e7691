-- +goose Up
-- People outside the company whose certificates a registrar verified, to be found in the directory's entries of theirs (package
-- gal/contact). Rows are never deleted: what was shown once is known as ours.
create table gal.contact (
  number      bigint generated always as identity primary key, -- a cursor
  id          uuid not null unique,
  mailbox     text not null,
  key         text not null,          -- the same in lower case
  state       text not null check (state in ('current', 'replaced', 'removed', 'expired', 'revoked')),
  certificate bytea not null,         -- DER
  fingerprint bytea not null check (octet_length(fingerprint) = 32), -- its SHA-256
  chain       bytea[] not null,       -- those above it, as far as they are known; DER
  not_before  timestamptz not null,
  not_after   timestamptz not null,
  trust       text not null check (trust in ('anchors', 'registrar')), -- what the certificate's being theirs rests on
  note        text not null,          -- how it was verified
  added_at    timestamptz not null,
  added_by    jsonb not null,
  ended_at    timestamptz,
  ended_by    jsonb,
  reason      text not null default '', -- of the end, or why it was taken out
  revocation  text not null,          -- good, none (it names no lists), or why nothing is known
  asked_at    timestamptz not null,   -- when its issuer's lists were last asked for
  shown       text not null check (shown in ('waiting', 'shown', 'no-entry', 'several', 'full', 'too-large', 'failed', 'gone')),
  dn          text not null default '', -- where it is shown
  failure     text not null default '', -- of the last look; may be shown
  looked_at   timestamptz,
  due_at      timestamptz,            -- when its entry is looked at next; null: never again
  check ((state = 'current') = (ended_at is null))
);
create unique index contact_current on gal.contact (key) where state = 'current';
create index on gal.contact (key);
create index on gal.contact (due_at) where due_at is not null;

-- Values that we put into entries, or were about to.
create table gal.contact_value (
  entry       text not null,          -- the directory's own id of the entry
  fingerprint bytea not null,         -- SHA-256 of the value
  key         text not null,          -- of the contact
  put_at      timestamptz not null,
  primary key (entry, fingerprint)
);
create index on gal.contact_value (key);

grant select, insert, update on gal.contact to "sealpost_gal";
grant select, insert on gal.contact_value to "sealpost_gal";
