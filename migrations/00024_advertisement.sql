-- +goose Up
-- What people's own programs signed for userSMIMECertificate, each verified before it came here (package gal). Whether it is
-- shown is decided anew each time: both its certificates must be current.
create table gal.advertisement (
  certificate bytea primary key check (octet_length(certificate) = 32), -- SHA-256 of the encryption certificate that it is for
  person      uuid not null,
  signer      bigint not null,                                          -- number of the certificate that signed
  value       bytea not null check (octet_length(value) <= 32768),      -- SignedData, DER
  signed_at   timestamptz not null,                                     -- as the signer says
  kept_at     timestamptz not null
);
create index on gal.advertisement (person);
grant select, insert, update, delete on gal.advertisement to "sealpost_gal";

grant usage on schema publication to "sealpost_gal";
grant insert on publication.due to "sealpost_gal";
