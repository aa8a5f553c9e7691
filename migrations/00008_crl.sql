-- +goose Up
-- Revocation lists, and where they are.
create schema crl;

-- One row per issuer, locked while its next list is made: numbers never repeat, with any number of servers.
create table crl.issuer (
  id          text primary key,
  number      bigint not null,      -- of the newest list; 0: none yet
  changes     bigint not null,      -- the authority's count of revocations that it holds
  this_update timestamptz not null,
  next_update timestamptz not null
);

create table crl.list (
  issuer      text not null references crl.issuer (id),
  number      bigint not null,
  this_update timestamptz not null,
  next_update timestamptz not null,
  der         bytea not null,
  primary key (issuer, number)
);

-- What is known of each distribution point: the last list that was read back from it, and the last failure since.
create table crl.point (
  issuer     text not null,
  point      text not null,
  number     bigint not null,
  seen_at    timestamptz,
  failed_at  timestamptz,
  failure    text,
  primary key (issuer, point)
);

grant usage on schema crl to "sealpost_crl";
grant select, insert, update on crl.issuer, crl.point to "sealpost_crl";
grant select, insert, delete on crl.list to "sealpost_crl";
