-- +goose Up
-- Certificates that other authorities issued for keys that were imported. Whoever gets such a key back needs them: mail
-- programs find a key by the certificate that mail was encrypted to.
create table archive.foreign_certificate (
  number             bigint generated always as identity unique, -- in the order of import
  spki_sha256        bytea not null references archive.record (spki_sha256),
  certificate_sha256 bytea not null check (length(certificate_sha256) = 32),
  person             uuid not null,
  mailboxes          text[] not null,    -- of the certificate, lower case
  certificate        bytea not null,     -- DER
  chain              bytea[] not null,   -- above it, DER
  imported_by        uuid not null,
  imported_at        timestamptz not null,
  primary key (spki_sha256, certificate_sha256)
);
create index on archive.foreign_certificate (person, number);
create index on archive.foreign_certificate using gin (mailboxes);

grant select, insert on archive.foreign_certificate to "sealpost_archive";
