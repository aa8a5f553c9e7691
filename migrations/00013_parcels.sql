-- +goose Up
-- What one device of a person leaves for another, or for its own next one: sealed before it comes, and opaque here.
create table archive.parcel (
  person  uuid not null,
  name    text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,127}$'),
  content bytea not null check (length(content) between 1 and 4194304),
  sha256  bytea not null generated always as (sha256(content)) stored,
  kept_at timestamptz not null,
  ends_at timestamptz,              -- it is gone after that; null: it stays
  primary key (person, name)
);
create index on archive.parcel (ends_at) where ends_at is not null;

grant select, insert, delete on archive.parcel to "sealpost_archive";
grant update (content, kept_at, ends_at) on archive.parcel to "sealpost_archive";
