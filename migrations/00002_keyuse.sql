-- +goose Up
-- What every public key serves, and whose it is: the table that makes "signing" and "archived" exclude each other.
-- Issuance and deposit both write it, in their own transactions, in any order.
create schema keyuse;

create table keyuse.key_use (
  spki_sha256 bytea primary key check (length(spki_sha256) = 32), -- SHA-256 of the SubjectPublicKeyInfo, DER
  use         text not null check (use in ('signing', 'encryption', 'single', 'agent', 'service')),
  person      uuid not null,                                      -- all zero for a key that is no person's
  claimed_at  timestamptz not null
);

grant usage on schema keyuse to "sealpost_ca", "sealpost_archive";
grant select, insert on keyuse.key_use to "sealpost_ca", "sealpost_archive";
