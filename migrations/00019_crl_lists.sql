-- +goose Up
-- Revocation lists of all kinds, in pieces: what two lists have in common is kept once.

-- A run of about a thousand encoded entries of one partition. It never changes; lists refer to it.
create table crl.segment (
  issuer    text not null references crl.issuer (id),
  id        bigint generated always as identity,
  partition smallint not null,
  der       bytea not null,            -- the entries, one after the other
  until     bytea not null,            -- of each, when it may go: minutes since 1970, 4 octets, big-endian; 0: never
  primary key (issuer, id)
);
alter table crl.segment alter der set storage external; -- serial numbers are random: compressing them is in vain

-- A list is its head, its segments' entries, and its tail.
alter table crl.list rename der to head;
alter table crl.list
  add partition smallint not null default 0,       -- 0: all certificates of the issuer
  add delta     boolean not null default false,
  add base      bigint,                            -- of a delta: the complete list that it adds to
  add changes   bigint not null default 0,         -- the authority's count of revocations that it holds; -1: not known
  add entries   integer not null default 0,
  add segments  bigint[] not null default '{}',
  add tail      bytea not null default '',
  add size      bigint,
  add sha256    bytea check (length(sha256) = 32), -- of the whole
  alter head set storage external,
  drop constraint list_pkey,
  add primary key (issuer, partition, delta, number),
  add check (delta = (base is not null));
-- Of lists from before it is not known what they hold. They are served on, the next one is made at once and of all
-- revocations, and no delta adds to them.
update crl.list set size = length(head), sha256 = sha256(head), changes = -1;
alter table crl.list alter size set not null, alter sha256 set not null,
  alter partition drop default, alter delta drop default, alter changes drop default, alter entries drop default, alter tail drop default;

-- All lists of an issuer share one row of numbers, and none was made before another.
alter table crl.issuer drop column changes, drop column next_update;

-- What is known of each file at each distribution point: what was last read back from it, and the last failure since.
drop table crl.point;
create table crl.point (
  issuer      text not null,
  point       text not null,
  file        text not null,
  number      bigint not null,         -- of the list that was read back; 0: none, or no list
  next_update timestamptz,             -- its own
  seen_at     timestamptz,             -- when it was last read back whole and right
  failed_at   timestamptz,             -- when delivering or reading back failed since
  failure     text,
  primary key (issuer, point, file)
);

grant select, insert, delete on crl.segment to "sealpost_crl";
grant update (head, segments, tail) on crl.list to "sealpost_crl";
grant select, insert, update, delete on crl.point to "sealpost_crl";
