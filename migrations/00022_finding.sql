-- +goose Up
-- By what the HTTP certificate store (RFC 4387) finds people's certificates beside the mail address: SHA-1 hashes of the
-- certificate, of issuer and serial number, and of the key's identifier. A row says whom to look at; whether what is looked
-- for is shown is decided anew each time.
create table gal.search_key (
  key    bytea primary key check (octet_length(key) = 20),
  person uuid not null
);
grant select, insert on gal.search_key to "sealpost_gal";
