-- +goose Up
-- Recovery cases: what is to be opened, for whom and why, and what the agents answered. Nothing here opens a key: partial
-- decryptions are sealed to the recipient, and records keep both their layers.
alter table archive.record add column capsule_sha256 bytea not null
  generated always as (sha256(substring(sealed from 5 for get_byte(sealed, 2) * 256 + get_byte(sealed, 3)))) stored; -- docs/archive-format.md, 3.4
create index on archive.record (capsule_sha256);

-- Drills that the officers passed: they showed that they can still open.
create table archive.drill (
  case_sha256 bytea primary key check (length(case_sha256) = 32),
  roster      bytea not null references archive.roster (hash),
  passed_at   timestamptz not null, -- when the last officer approved
  recorded_at timestamptz not null
);

create table archive.recovery_case (
  id           uuid primary key,
  hash         bytea not null unique check (length(hash) = 32), -- what approvals are for
  kind         text not null check (kind in ('restore', 'business', 'legal')),
  state        text not null check (state in ('requested', 'approved', 'released', 'closed', 'denied', 'cancelled', 'expired')),
  requester    uuid not null,
  roster       bytea not null references archive.roster (hash),
  statement    bytea not null,      -- signed by the requester, frozen
  silent_until timestamptz,         -- the subjects are not told before
  consent      bytea,               -- the auditor's signed consent to that
  reason       text,                -- why denied or cancelled
  opened_at    timestamptz not null,
  deadline     timestamptz not null,
  changed_at   timestamptz not null,
  check ((silent_until is null) = (consent is null) and (consent is null or kind = 'legal'))
);
create index on archive.recovery_case (deadline) where state in ('requested', 'approved', 'released');
create index on archive.recovery_case (opened_at, id);
create index on archive.recovery_case (requester, opened_at);

-- Who may see a case but for its requester.
create table archive.case_party (
  case_id uuid not null references archive.recovery_case (id),
  person  uuid not null,
  part    text not null check (part in ('subject', 'recipient', 'agent')),
  primary key (person, case_id, part)
);
create index on archive.case_party (case_id);

-- The records of a case, in the case's order.
create table archive.case_record (
  case_id        uuid not null references archive.recovery_case (id),
  position       int not null,      -- from 0
  capsule_sha256 bytea not null,
  primary key (case_id, position)
);
create index on archive.case_record (capsule_sha256);

create table archive.case_delivery (
  case_id      uuid not null references archive.recovery_case (id),
  delivery     int not null,
  recipient    uuid not null,       -- who may collect
  collected_at timestamptz,         -- last
  primary key (case_id, delivery)
);

create table archive.case_answer (
  case_id     uuid not null references archive.recovery_case (id),
  agent       int not null,         -- number in the roster
  decision    text not null check (decision in ('approve', 'deny')),
  approval    bytea not null,       -- signed by the agent
  received_at timestamptz not null,
  dispute     bytea,                -- a recipient's signed word that the partials are wrong
  primary key (case_id, agent)
);

-- Partial decryptions, sealed to the recipient. They go when a case ends, so that those of dead cases cannot add up.
create table archive.case_partials (
  case_id  uuid not null,
  agent    int not null,
  delivery int not null,
  sealed   bytea not null,
  primary key (case_id, delivery, agent),
  foreign key (case_id, agent) references archive.case_answer (case_id, agent)
);

grant select, insert on archive.drill, archive.recovery_case, archive.case_party, archive.case_record, archive.case_delivery, archive.case_answer,
  archive.case_partials to "sealpost_archive";
grant update (state, reason, changed_at) on archive.recovery_case to "sealpost_archive";
grant update (key_id) on archive.record to "sealpost_archive"; -- the agents have moved it to another key
grant update (collected_at) on archive.case_delivery to "sealpost_archive";
grant update (dispute) on archive.case_answer to "sealpost_archive";
grant delete on archive.case_partials to "sealpost_archive";

-- Ceremonies that agents hold by way of the server: it shows everybody what everybody sent, and believes none of it.
create table archive.ceremony (
  plan_sha256   bytea primary key check (length(plan_sha256) = 32),
  plan          bytea not null,
  intermediates bytea[] not null,  -- issuing certificates, DER
  opened_by     uuid not null,
  opened_at     timestamptz not null,
  changed_at    timestamptz not null
);
create index on archive.ceremony (opened_at);

create table archive.ceremony_message (
  plan_sha256    bytea not null references archive.ceremony (plan_sha256),
  number         int not null,     -- in the order in which they came
  message        bytea not null,
  received_at    timestamptz not null,
  primary key (plan_sha256, number)
);
grant select, insert on archive.ceremony, archive.ceremony_message to "sealpost_archive";
grant update (changed_at) on archive.ceremony to "sealpost_archive";
