-- What the migrations make, as pg_dump 15 writes it; for readers. Made by: go generate ./migrations
-- The job queue's own schema (river) is left out.


CREATE SCHEMA archive;

CREATE SCHEMA audit;

CREATE SCHEMA ca;

CREATE SCHEMA crl;

CREATE SCHEMA directory;

CREATE SCHEMA enroll;

CREATE SCHEMA fleet;

CREATE SCHEMA gal;

CREATE SCHEMA keyuse;

CREATE SCHEMA notice;

CREATE SCHEMA publication;

CREATE SCHEMA require;

CREATE SCHEMA testmail;

CREATE SCHEMA web;

CREATE FUNCTION archive.only_held_records_go() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if old.state <> 'held' then
    raise exception 'record % is kept and cannot be deleted', old.id;
  end if;
  return old;
end $$;

CREATE FUNCTION keyuse.claim(key bytea, for_use text, for_person uuid, at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
  insert into keyuse.key_use (spki_sha256, use, person, claimed_at) values (key, for_use, for_person, at)
    on conflict (spki_sha256) do nothing;
  return found or exists (
    select from keyuse.key_use k where k.spki_sha256 = key and k.use = for_use and k.person = for_person);
end $$;

CREATE FUNCTION require.that(condition boolean) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
  if condition is not true then
    raise exception using errcode = 'SP001', message = 'a condition does not hold';
  end if;
  return true;
end $$;

CREATE TABLE archive.case_answer (
    case_id uuid NOT NULL,
    agent integer NOT NULL,
    decision text NOT NULL,
    approval bytea NOT NULL,
    received_at timestamp with time zone NOT NULL,
    dispute bytea,
    CONSTRAINT case_answer_decision_check CHECK ((decision = ANY (ARRAY['approve'::text, 'deny'::text])))
);

CREATE TABLE archive.case_delivery (
    case_id uuid NOT NULL,
    delivery integer NOT NULL,
    recipient uuid NOT NULL,
    collected_at timestamp with time zone,
    recipient_sha256 bytea,
    subjects integer,
    records integer,
    CONSTRAINT case_delivery_recipient_sha256_check CHECK ((length(recipient_sha256) = 32))
);

CREATE TABLE archive.case_partials (
    case_id uuid NOT NULL,
    agent integer NOT NULL,
    delivery integer NOT NULL,
    sealed bytea NOT NULL
);

CREATE TABLE archive.case_party (
    case_id uuid NOT NULL,
    person uuid NOT NULL,
    part text NOT NULL,
    CONSTRAINT case_party_part_check CHECK ((part = ANY (ARRAY['subject'::text, 'recipient'::text, 'agent'::text])))
);

CREATE TABLE archive.case_record (
    case_id uuid NOT NULL,
    "position" integer NOT NULL,
    capsule_sha256 bytea NOT NULL
);

CREATE TABLE archive.ceremony (
    plan_sha256 bytea NOT NULL,
    plan bytea NOT NULL,
    intermediates bytea[] NOT NULL,
    opened_by uuid NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT ceremony_plan_sha256_check CHECK ((length(plan_sha256) = 32))
);

CREATE TABLE archive.ceremony_message (
    plan_sha256 bytea NOT NULL,
    number integer NOT NULL,
    message bytea NOT NULL,
    received_at timestamp with time zone NOT NULL
);

CREATE TABLE archive.drill (
    case_sha256 bytea NOT NULL,
    roster bytea NOT NULL,
    passed_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT drill_case_sha256_check CHECK ((length(case_sha256) = 32))
);

CREATE TABLE archive.foreign_certificate (
    number bigint NOT NULL,
    spki_sha256 bytea NOT NULL,
    certificate_sha256 bytea NOT NULL,
    person uuid NOT NULL,
    mailboxes text[] NOT NULL,
    certificate bytea NOT NULL,
    chain bytea[] NOT NULL,
    imported_by uuid NOT NULL,
    imported_at timestamp with time zone NOT NULL,
    CONSTRAINT foreign_certificate_certificate_sha256_check CHECK ((length(certificate_sha256) = 32))
);

ALTER TABLE archive.foreign_certificate ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME archive.foreign_certificate_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE archive.parcel (
    person uuid NOT NULL,
    name text NOT NULL,
    content bytea NOT NULL,
    sha256 bytea GENERATED ALWAYS AS (sha256(content)) STORED NOT NULL,
    kept_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    CONSTRAINT parcel_content_check CHECK (((length(content) >= 1) AND (length(content) <= 4194304))),
    CONSTRAINT parcel_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9-]{0,127}$'::text))
);

CREATE TABLE archive.record (
    id uuid NOT NULL,
    request uuid NOT NULL,
    person uuid NOT NULL,
    spki_sha256 bytea NOT NULL,
    key_id bytea NOT NULL,
    wrapping_id bytea NOT NULL,
    state text NOT NULL,
    sealed bytea NOT NULL,
    receipt bytea NOT NULL,
    leaf_hash bytea NOT NULL,
    event bigint NOT NULL,
    deposited_at timestamp with time zone NOT NULL,
    capsule_sha256 bytea GENERATED ALWAYS AS (sha256(SUBSTRING(sealed FROM 5 FOR ((get_byte(sealed, 2) * 256) + get_byte(sealed, 3))))) STORED NOT NULL,
    CONSTRAINT record_leaf_hash_check CHECK ((length(leaf_hash) = 32)),
    CONSTRAINT record_spki_sha256_check CHECK ((length(spki_sha256) = 32)),
    CONSTRAINT record_state_check CHECK ((state = ANY (ARRAY['held'::text, 'kept'::text])))
);

CREATE TABLE archive.recovery_case (
    id uuid NOT NULL,
    hash bytea NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    requester uuid NOT NULL,
    roster bytea NOT NULL,
    statement bytea NOT NULL,
    silent_until timestamp with time zone,
    consent bytea,
    reason text,
    opened_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    requester_name text,
    purpose text,
    reference text,
    CONSTRAINT recovery_case_check CHECK ((((silent_until IS NULL) = (consent IS NULL)) AND ((consent IS NULL) OR (kind = 'legal'::text)))),
    CONSTRAINT recovery_case_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT recovery_case_kind_check CHECK ((kind = ANY (ARRAY['restore'::text, 'business'::text, 'legal'::text]))),
    CONSTRAINT recovery_case_state_check CHECK ((state = ANY (ARRAY['requested'::text, 'approved'::text, 'released'::text, 'closed'::text, 'denied'::text, 'cancelled'::text, 'expired'::text])))
);

CREATE TABLE archive.roster (
    hash bytea NOT NULL,
    key_id bytea NOT NULL,
    epoch bigint NOT NULL,
    file bytea NOT NULL,
    added_at timestamp with time zone NOT NULL,
    CONSTRAINT roster_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT roster_key_id_check CHECK ((length(key_id) = 32))
);

CREATE TABLE audit.checkpoint (
    size bigint NOT NULL,
    note text NOT NULL,
    signed_at timestamp with time zone NOT NULL,
    CONSTRAINT checkpoint_size_check CHECK ((size > 0))
);

CREATE TABLE audit.countersignature (
    id bigint NOT NULL,
    witness text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT countersignature_root_check CHECK ((octet_length(root) = 32)),
    CONSTRAINT countersignature_size_check CHECK ((size > 0))
);

ALTER TABLE audit.countersignature ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME audit.countersignature_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE audit.event (
    id bigint NOT NULL,
    body text NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    person uuid NOT NULL,
    actor uuid NOT NULL,
    CONSTRAINT event_body_check CHECK (((octet_length(body) >= 2) AND (octet_length(body) <= 65536))),
    CONSTRAINT event_id_check CHECK ((id > 0))
);

CREATE SEQUENCE audit.event_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE audit.leaf (
    idx bigint NOT NULL,
    event bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT leaf_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT leaf_idx_check CHECK ((idx >= 0))
);

CREATE TABLE audit.node (
    level smallint NOT NULL,
    n bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT node_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT node_level_check CHECK (((level >= 1) AND (level <= 7))),
    CONSTRAINT node_n_check CHECK ((n >= 0))
);

CREATE TABLE audit.pending (
    event bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT pending_hash_check CHECK ((octet_length(hash) = 32))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

CREATE TABLE ca.certificate (
    number bigint NOT NULL,
    issuer text NOT NULL,
    serial bytea NOT NULL,
    request uuid NOT NULL,
    profile text NOT NULL,
    person uuid NOT NULL,
    spki_sha256 bytea NOT NULL,
    mailboxes text[] NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    der bytea NOT NULL
);

ALTER TABLE ca.certificate ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ca.certificate_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ca.issuer (
    id text NOT NULL,
    certificate bytea NOT NULL,
    changes bigint DEFAULT 0 NOT NULL,
    added_at timestamp with time zone NOT NULL,
    partitions smallint DEFAULT 0 NOT NULL,
    CONSTRAINT issuer_id_check CHECK ((id ~ '^[a-z0-9-]{1,64}$'::text)),
    CONSTRAINT issuer_partitions_check CHECK ((partitions >= 0))
);

CREATE TABLE ca.prepared (
    issuer text NOT NULL,
    serial bytea NOT NULL,
    state text NOT NULL,
    request uuid NOT NULL,
    profile text NOT NULL,
    person uuid NOT NULL,
    use text NOT NULL,
    spki_sha256 bytea NOT NULL,
    key_usage smallint NOT NULL,
    mailboxes text[] NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    input bytea NOT NULL,
    digest bytea NOT NULL,
    tbs bytea NOT NULL,
    prepared_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone,
    partition smallint DEFAULT 0 NOT NULL,
    CONSTRAINT prepared_check CHECK (((state = 'prepared'::text) = (settled_at IS NULL))),
    CONSTRAINT prepared_digest_check CHECK ((length(digest) = ANY (ARRAY[32, 48]))),
    CONSTRAINT prepared_input_check CHECK ((length(input) = 32)),
    CONSTRAINT prepared_partition_check CHECK ((partition >= 0)),
    CONSTRAINT prepared_serial_check CHECK ((((length(serial) >= 8) AND (length(serial) <= 20)) AND ((get_byte(serial, 0) >= 1) AND (get_byte(serial, 0) <= 127)))),
    CONSTRAINT prepared_spki_sha256_check CHECK ((length(spki_sha256) = 32)),
    CONSTRAINT prepared_state_check CHECK ((state = ANY (ARRAY['prepared'::text, 'issued'::text, 'abandoned'::text])))
);

CREATE TABLE ca.revocation (
    issuer text NOT NULL,
    change bigint NOT NULL,
    serial bytea NOT NULL,
    standing text NOT NULL,
    reason smallint NOT NULL,
    revoked_at timestamp with time zone NOT NULL,
    invalidity_at timestamp with time zone,
    not_after timestamp with time zone NOT NULL,
    partition smallint DEFAULT 0 NOT NULL,
    profile text NOT NULL,
    CONSTRAINT revocation_check CHECK (((standing = 'held'::text) = (reason = 6))),
    CONSTRAINT revocation_partition_check CHECK ((partition >= 0)),
    CONSTRAINT revocation_reason_check CHECK ((reason = ANY (ARRAY[0, 1, 3, 4, 5, 6, 9]))),
    CONSTRAINT revocation_standing_check CHECK ((standing = ANY (ARRAY['revoked'::text, 'held'::text, 'released'::text])))
);

CREATE TABLE crl.issuer (
    id text NOT NULL,
    number bigint NOT NULL,
    this_update timestamp with time zone NOT NULL
);

CREATE TABLE crl.list (
    issuer text NOT NULL,
    number bigint NOT NULL,
    this_update timestamp with time zone NOT NULL,
    next_update timestamp with time zone NOT NULL,
    head bytea NOT NULL,
    partition smallint NOT NULL,
    delta boolean NOT NULL,
    base bigint,
    changes bigint NOT NULL,
    entries integer NOT NULL,
    segments bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    tail bytea NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    CONSTRAINT list_check CHECK ((delta = (base IS NOT NULL))),
    CONSTRAINT list_sha256_check CHECK ((length(sha256) = 32))
);
ALTER TABLE ONLY crl.list ALTER COLUMN head SET STORAGE EXTERNAL;

CREATE TABLE crl.point (
    issuer text NOT NULL,
    point text NOT NULL,
    file text NOT NULL,
    number bigint NOT NULL,
    next_update timestamp with time zone,
    seen_at timestamp with time zone,
    failed_at timestamp with time zone,
    failure text,
    looked_at timestamp with time zone,
    shown boolean DEFAULT false NOT NULL
);

CREATE TABLE crl.segment (
    issuer text NOT NULL,
    id bigint NOT NULL,
    partition smallint NOT NULL,
    der bytea NOT NULL,
    until bytea NOT NULL
);
ALTER TABLE ONLY crl.segment ALTER COLUMN der SET STORAGE EXTERNAL;

ALTER TABLE crl.segment ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME crl.segment_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE directory.change (
    number bigint NOT NULL,
    target text NOT NULL,
    source_id text NOT NULL,
    stamp text NOT NULL,
    noticed_at timestamp with time zone NOT NULL,
    told_at timestamp with time zone
);

ALTER TABLE directory.change ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME directory.change_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE directory.person (
    id uuid NOT NULL,
    target text NOT NULL,
    source_id text NOT NULL,
    login text NOT NULL,
    name text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    CONSTRAINT person_source_id_check CHECK (((octet_length(source_id) >= 1) AND (octet_length(source_id) <= 128))),
    CONSTRAINT person_target_check CHECK ((target <> ''::text))
);

CREATE TABLE directory.watch (
    target text NOT NULL,
    looked_at timestamp with time zone,
    lost_at timestamp with time zone,
    failing_since timestamp with time zone,
    failure text,
    CONSTRAINT watch_check CHECK (((failing_since IS NULL) = (failure IS NULL)))
);

CREATE TABLE directory.watermark (
    target text NOT NULL,
    server text NOT NULL,
    attribute text NOT NULL,
    began text NOT NULL,
    mark text NOT NULL,
    since timestamp with time zone NOT NULL
);

CREATE TABLE enroll.leaver (
    number bigint NOT NULL,
    person uuid NOT NULL,
    name text NOT NULL,
    mailbox text NOT NULL,
    standing text NOT NULL,
    state text NOT NULL,
    why text,
    noticed_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    decided_by jsonb,
    reason text,
    lost text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT leaver_check CHECK (((state = 'waiting'::text) = (why IS NOT NULL))),
    CONSTRAINT leaver_check1 CHECK (((decided_by IS NULL) = (reason IS NULL))),
    CONSTRAINT leaver_check2 CHECK (((standing = 'moved'::text) = (lost <> '{}'::text[]))),
    CONSTRAINT leaver_standing_check CHECK ((standing = ANY (ARRAY['disabled'::text, 'gone'::text, 'moved'::text]))),
    CONSTRAINT leaver_state_check CHECK ((state = ANY (ARRAY['noticed'::text, 'waiting'::text, 'leaving'::text, 'left'::text, 'kept'::text]))),
    CONSTRAINT leaver_why_check CHECK ((why = ANY (ARRAY['policy'::text, 'limit'::text])))
);

ALTER TABLE enroll.leaver ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME enroll.leaver_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE enroll.leaver_sweep (
    single boolean DEFAULT true NOT NULL,
    number bigint NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    cursor uuid NOT NULL,
    people integer NOT NULL,
    done boolean NOT NULL,
    total integer NOT NULL,
    CONSTRAINT leaver_sweep_single_check CHECK (single)
);

CREATE TABLE enroll.renewal_order (
    number bigint NOT NULL,
    made_by jsonb NOT NULL,
    made_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    algorithm text,
    spki_sha256 bytea,
    issuer text,
    profile text,
    person uuid,
    issued_before timestamp with time zone,
    hours integer NOT NULL,
    withdrawn_by jsonb,
    withdrawn_at timestamp with time zone,
    CONSTRAINT renewal_order_check CHECK ((num_nonnulls(algorithm, spki_sha256, issuer, profile, person) > 0)),
    CONSTRAINT renewal_order_check1 CHECK (((withdrawn_at IS NULL) = (withdrawn_by IS NULL))),
    CONSTRAINT renewal_order_hours_check CHECK (((hours >= 0) AND (hours <= 2160))),
    CONSTRAINT renewal_order_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT renewal_order_spki_sha256_check CHECK ((length(spki_sha256) = 32))
);

ALTER TABLE enroll.renewal_order ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME enroll.renewal_order_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE enroll.request (
    id uuid NOT NULL,
    person uuid NOT NULL,
    idempotency text NOT NULL,
    body_sha256 bytea NOT NULL,
    enrolment text NOT NULL,
    state text NOT NULL,
    subject jsonb NOT NULL,
    signing_spki bytea,
    encryption_spki bytea,
    by jsonb NOT NULL,
    reason text,
    received_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    agent text DEFAULT ''::text NOT NULL,
    claimed jsonb,
    decided_by jsonb,
    key_origin jsonb,
    key_challenge bytea,
    CONSTRAINT request_agent_check CHECK ((octet_length(agent) <= 256)),
    CONSTRAINT request_body_sha256_check CHECK ((length(body_sha256) = 32)),
    CONSTRAINT request_idempotency_check CHECK (((length(idempotency) >= 8) AND (length(idempotency) <= 128))),
    CONSTRAINT request_state_check CHECK ((state = ANY (ARRAY['received'::text, 'submitted'::text, 'endorsed'::text, 'issued'::text, 'rejected'::text, 'failed'::text])))
);

CREATE TABLE enroll.server_key (
    id uuid NOT NULL,
    sealed_key bytea,
    certificate bytea,
    made_at timestamp with time zone NOT NULL,
    ends timestamp with time zone,
    serves text NOT NULL,
    CONSTRAINT server_key_serves_check CHECK ((serves = ANY (ARRAY['exchange'::text, 'policy'::text])))
);

CREATE TABLE enroll.token (
    sha256 bytea NOT NULL,
    person uuid NOT NULL,
    made_by uuid NOT NULL,
    made_at timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    request uuid,
    number bigint NOT NULL,
    use text DEFAULT 'handed'::text NOT NULL,
    form uuid,
    withdrawn_at timestamp with time zone,
    list bigint,
    spent_at timestamp with time zone,
    withdrawn_by uuid,
    CONSTRAINT token_sha256_check CHECK ((length(sha256) = 32)),
    CONSTRAINT token_use_check CHECK ((use = ANY (ARRAY['handed'::text, 'behalf'::text])))
);

ALTER TABLE enroll.token ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME enroll.token_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE fleet.machine (
    number bigint NOT NULL,
    person uuid NOT NULL,
    id uuid NOT NULL,
    person_name text NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL,
    reported_at timestamp with time zone,
    system text DEFAULT ''::text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    ends_at timestamp with time zone
);

ALTER TABLE fleet.machine ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME fleet.machine_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE fleet.report (
    machine bigint NOT NULL,
    report jsonb NOT NULL
);

CREATE TABLE gal.advertisement (
    certificate bytea NOT NULL,
    person uuid NOT NULL,
    signer bigint NOT NULL,
    value bytea NOT NULL,
    signed_at timestamp with time zone NOT NULL,
    kept_at timestamp with time zone NOT NULL,
    CONSTRAINT advertisement_certificate_check CHECK ((octet_length(certificate) = 32)),
    CONSTRAINT advertisement_value_check CHECK ((octet_length(value) <= 32768))
);

CREATE TABLE gal.contact (
    number bigint NOT NULL,
    id uuid NOT NULL,
    mailbox text NOT NULL,
    key text NOT NULL,
    state text NOT NULL,
    certificate bytea NOT NULL,
    fingerprint bytea NOT NULL,
    chain bytea[] NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    trust text NOT NULL,
    note text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    added_by jsonb NOT NULL,
    ended_at timestamp with time zone,
    ended_by jsonb,
    reason text DEFAULT ''::text NOT NULL,
    revocation text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    shown text NOT NULL,
    dn text DEFAULT ''::text NOT NULL,
    failure text DEFAULT ''::text NOT NULL,
    looked_at timestamp with time zone,
    due_at timestamp with time zone,
    CONSTRAINT contact_check CHECK (((state = 'current'::text) = (ended_at IS NULL))),
    CONSTRAINT contact_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT contact_shown_check CHECK ((shown = ANY (ARRAY['waiting'::text, 'shown'::text, 'no-entry'::text, 'several'::text, 'full'::text, 'too-large'::text, 'failed'::text, 'gone'::text]))),
    CONSTRAINT contact_state_check CHECK ((state = ANY (ARRAY['current'::text, 'replaced'::text, 'removed'::text, 'expired'::text, 'revoked'::text]))),
    CONSTRAINT contact_trust_check CHECK ((trust = ANY (ARRAY['anchors'::text, 'registrar'::text])))
);

ALTER TABLE gal.contact ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gal.contact_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gal.contact_value (
    entry text NOT NULL,
    fingerprint bytea NOT NULL,
    key text NOT NULL,
    put_at timestamp with time zone NOT NULL
);

CREATE TABLE gal.drift (
    number bigint NOT NULL,
    target text NOT NULL,
    entry text NOT NULL,
    person uuid,
    dn text NOT NULL,
    kinds text[] NOT NULL,
    missing integer NOT NULL,
    stale integer NOT NULL,
    foreign_values integer NOT NULL,
    undecodable integer NOT NULL,
    held integer NOT NULL,
    failure text NOT NULL,
    sweep bigint NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    CONSTRAINT drift_kinds_check CHECK ((cardinality(kinds) > 0))
);

ALTER TABLE gal.drift ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gal.drift_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gal.search_key (
    key bytea NOT NULL,
    person uuid NOT NULL,
    CONSTRAINT search_key_key_check CHECK ((octet_length(key) = 20))
);

CREATE TABLE gal.sweep (
    target text NOT NULL,
    number bigint NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    phase text NOT NULL,
    cursor uuid NOT NULL,
    entries integer NOT NULL,
    repaired bigint NOT NULL,
    repair boolean NOT NULL,
    beyond boolean NOT NULL,
    people integer NOT NULL,
    changed integer NOT NULL,
    foreign_values bigint NOT NULL,
    stopped text NOT NULL,
    failure text NOT NULL,
    CONSTRAINT sweep_check CHECK (((phase = 'done'::text) = (ended_at IS NOT NULL))),
    CONSTRAINT sweep_phase_check CHECK ((phase = ANY (ARRAY['people'::text, 'entries'::text, 'repair'::text, 'done'::text])))
);

CREATE TABLE keyuse.key_use (
    spki_sha256 bytea NOT NULL,
    use text NOT NULL,
    person uuid NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    CONSTRAINT key_use_spki_sha256_check CHECK ((length(spki_sha256) = 32)),
    CONSTRAINT key_use_use_check CHECK ((use = ANY (ARRAY['signing'::text, 'encryption'::text, 'single'::text, 'agent'::text, 'service'::text])))
);

CREATE TABLE notice.mail (
    case_id uuid NOT NULL,
    about text NOT NULL,
    person uuid NOT NULL,
    part text NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    unanswered integer DEFAULT 0 NOT NULL,
    outcome text,
    done_at timestamp with time zone,
    CONSTRAINT mail_check CHECK (((outcome IS NULL) = (done_at IS NULL))),
    CONSTRAINT mail_outcome_check CHECK ((outcome = ANY (ARRAY['sent'::text, 'unanswered'::text, 'refused'::text, 'no-address'::text, 'overtaken'::text])))
);

CREATE TABLE notice.matter (
    area text NOT NULL,
    key text NOT NULL,
    grade integer NOT NULL,
    told_at timestamp with time zone NOT NULL,
    good boolean NOT NULL
);

CREATE TABLE notice.revealed (
    case_id uuid NOT NULL,
    queued_at timestamp with time zone NOT NULL
);

CREATE TABLE public.sealpost_migration (
    id integer NOT NULL,
    version_id bigint NOT NULL,
    is_applied boolean NOT NULL,
    tstamp timestamp without time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.sealpost_migration ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.sealpost_migration_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE publication.due (
    id bigint NOT NULL,
    person uuid NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    not_before timestamp with time zone NOT NULL,
    copied boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

CREATE TABLE publication.due_further (
    id bigint NOT NULL,
    directory text NOT NULL,
    person uuid NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    not_before timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

ALTER TABLE publication.due_further ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME publication.due_further_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE publication.due ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME publication.due_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE testmail.identity (
    id uuid NOT NULL,
    address text NOT NULL,
    signing_key bytea,
    encryption_key bytea,
    signing bytea,
    encryption bytea,
    made_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    CONSTRAINT identity_check CHECK ((((signing IS NULL) = (encryption IS NULL)) AND ((signing IS NULL) = (ends_at IS NULL))))
);

CREATE TABLE testmail.look (
    only_one boolean DEFAULT true NOT NULL,
    looked_at timestamp with time zone,
    failed_at timestamp with time zone,
    failure text DEFAULT ''::text NOT NULL,
    CONSTRAINT look_only_one_check CHECK (only_one)
);

CREATE TABLE testmail.test (
    id uuid NOT NULL,
    person uuid NOT NULL,
    token text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    mailbox text NOT NULL,
    certificate bytea NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    failed_at timestamp with time zone,
    failure text DEFAULT ''::text NOT NULL,
    said text DEFAULT ''::text NOT NULL,
    notice text DEFAULT ''::text NOT NULL,
    answers integer DEFAULT 0 NOT NULL,
    answered_at timestamp with time zone,
    theirs boolean DEFAULT false NOT NULL,
    findings jsonb,
    CONSTRAINT test_notice_check CHECK ((notice = ANY (ARRAY[''::text, 'automatic'::text, 'bounced'::text])))
);

CREATE TABLE web.handover (
    code bytea NOT NULL,
    challenge bytea NOT NULL,
    person uuid NOT NULL,
    method text NOT NULL,
    strength text NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    CONSTRAINT handover_challenge_check CHECK ((octet_length(challenge) = 32)),
    CONSTRAINT handover_code_check CHECK ((octet_length(code) = 32))
);

CREATE TABLE web.session (
    id uuid NOT NULL,
    secret bytea NOT NULL,
    person uuid NOT NULL,
    method text NOT NULL,
    strength text NOT NULL,
    roles text[] NOT NULL,
    began_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    proven_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    agent text NOT NULL,
    CONSTRAINT session_secret_check CHECK ((octet_length(secret) = 32))
);

ALTER TABLE ONLY archive.case_answer
    ADD CONSTRAINT case_answer_pkey PRIMARY KEY (case_id, agent);

ALTER TABLE ONLY archive.case_delivery
    ADD CONSTRAINT case_delivery_pkey PRIMARY KEY (case_id, delivery);

ALTER TABLE ONLY archive.case_partials
    ADD CONSTRAINT case_partials_pkey PRIMARY KEY (case_id, delivery, agent);

ALTER TABLE ONLY archive.case_party
    ADD CONSTRAINT case_party_pkey PRIMARY KEY (person, case_id, part);

ALTER TABLE ONLY archive.case_record
    ADD CONSTRAINT case_record_pkey PRIMARY KEY (case_id, "position");

ALTER TABLE ONLY archive.ceremony_message
    ADD CONSTRAINT ceremony_message_pkey PRIMARY KEY (plan_sha256, number);

ALTER TABLE ONLY archive.ceremony
    ADD CONSTRAINT ceremony_pkey PRIMARY KEY (plan_sha256);

ALTER TABLE ONLY archive.drill
    ADD CONSTRAINT drill_pkey PRIMARY KEY (case_sha256);

ALTER TABLE ONLY archive.foreign_certificate
    ADD CONSTRAINT foreign_certificate_number_key UNIQUE (number);

ALTER TABLE ONLY archive.foreign_certificate
    ADD CONSTRAINT foreign_certificate_pkey PRIMARY KEY (spki_sha256, certificate_sha256);

ALTER TABLE ONLY archive.parcel
    ADD CONSTRAINT parcel_pkey PRIMARY KEY (person, name);

ALTER TABLE ONLY archive.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (id);

ALTER TABLE ONLY archive.record
    ADD CONSTRAINT record_request_key UNIQUE (request);

ALTER TABLE ONLY archive.record
    ADD CONSTRAINT record_spki_sha256_key UNIQUE (spki_sha256);

ALTER TABLE ONLY archive.recovery_case
    ADD CONSTRAINT recovery_case_hash_key UNIQUE (hash);

ALTER TABLE ONLY archive.recovery_case
    ADD CONSTRAINT recovery_case_pkey PRIMARY KEY (id);

ALTER TABLE ONLY archive.roster
    ADD CONSTRAINT roster_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY audit.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (size);

ALTER TABLE ONLY audit.countersignature
    ADD CONSTRAINT countersignature_pkey PRIMARY KEY (id);

ALTER TABLE ONLY audit.countersignature
    ADD CONSTRAINT countersignature_witness_size_root_key UNIQUE (witness, size, root);

ALTER TABLE ONLY audit.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY audit.leaf
    ADD CONSTRAINT leaf_event UNIQUE (event);

ALTER TABLE ONLY audit.leaf
    ADD CONSTRAINT leaf_pkey PRIMARY KEY (idx);

ALTER TABLE ONLY audit.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (level, n);

ALTER TABLE ONLY audit.pending
    ADD CONSTRAINT pending_pkey PRIMARY KEY (event);

ALTER TABLE ONLY ca.certificate
    ADD CONSTRAINT certificate_number_key UNIQUE (number);

ALTER TABLE ONLY ca.certificate
    ADD CONSTRAINT certificate_pkey PRIMARY KEY (issuer, serial);

ALTER TABLE ONLY ca.issuer
    ADD CONSTRAINT issuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ca.prepared
    ADD CONSTRAINT prepared_pkey PRIMARY KEY (issuer, serial);

ALTER TABLE ONLY ca.revocation
    ADD CONSTRAINT revocation_pkey PRIMARY KEY (issuer, change);

ALTER TABLE ONLY crl.issuer
    ADD CONSTRAINT issuer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crl.list
    ADD CONSTRAINT list_pkey PRIMARY KEY (issuer, partition, delta, number);

ALTER TABLE ONLY crl.point
    ADD CONSTRAINT point_pkey PRIMARY KEY (issuer, point, file);

ALTER TABLE ONLY crl.segment
    ADD CONSTRAINT segment_pkey PRIMARY KEY (issuer, id);

ALTER TABLE ONLY directory.change
    ADD CONSTRAINT change_pkey PRIMARY KEY (target, source_id);

ALTER TABLE ONLY directory.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);

ALTER TABLE ONLY directory.person
    ADD CONSTRAINT person_source UNIQUE (target, source_id);

ALTER TABLE ONLY directory.watch
    ADD CONSTRAINT watch_pkey PRIMARY KEY (target);

ALTER TABLE ONLY directory.watermark
    ADD CONSTRAINT watermark_pkey PRIMARY KEY (target, server, attribute);

ALTER TABLE ONLY enroll.server_key
    ADD CONSTRAINT exchange_pkey PRIMARY KEY (id);

ALTER TABLE ONLY enroll.leaver
    ADD CONSTRAINT leaver_number_key UNIQUE (number);

ALTER TABLE ONLY enroll.leaver
    ADD CONSTRAINT leaver_pkey PRIMARY KEY (person);

ALTER TABLE ONLY enroll.leaver_sweep
    ADD CONSTRAINT leaver_sweep_pkey PRIMARY KEY (single);

ALTER TABLE ONLY enroll.renewal_order
    ADD CONSTRAINT renewal_order_pkey PRIMARY KEY (number);

ALTER TABLE ONLY enroll.request
    ADD CONSTRAINT request_key_challenge UNIQUE (key_challenge);

ALTER TABLE ONLY enroll.request
    ADD CONSTRAINT request_person_idempotency_key UNIQUE (person, idempotency);

ALTER TABLE ONLY enroll.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY enroll.token
    ADD CONSTRAINT token_form_key UNIQUE (form);

ALTER TABLE ONLY enroll.token
    ADD CONSTRAINT token_number_key UNIQUE (number);

ALTER TABLE ONLY enroll.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY fleet.machine
    ADD CONSTRAINT machine_person_id_key UNIQUE (person, id);

ALTER TABLE ONLY fleet.machine
    ADD CONSTRAINT machine_pkey PRIMARY KEY (number);

ALTER TABLE ONLY fleet.report
    ADD CONSTRAINT report_pkey PRIMARY KEY (machine);

ALTER TABLE ONLY gal.advertisement
    ADD CONSTRAINT advertisement_pkey PRIMARY KEY (certificate);

ALTER TABLE ONLY gal.contact
    ADD CONSTRAINT contact_id_key UNIQUE (id);

ALTER TABLE ONLY gal.contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (number);

ALTER TABLE ONLY gal.contact_value
    ADD CONSTRAINT contact_value_pkey PRIMARY KEY (entry, fingerprint);

ALTER TABLE ONLY gal.drift
    ADD CONSTRAINT drift_number_key UNIQUE (number);

ALTER TABLE ONLY gal.drift
    ADD CONSTRAINT drift_pkey PRIMARY KEY (target, entry);

ALTER TABLE ONLY gal.search_key
    ADD CONSTRAINT search_key_pkey PRIMARY KEY (key);

ALTER TABLE ONLY gal.sweep
    ADD CONSTRAINT sweep_pkey PRIMARY KEY (target);

ALTER TABLE ONLY keyuse.key_use
    ADD CONSTRAINT key_use_pkey PRIMARY KEY (spki_sha256);

ALTER TABLE ONLY notice.mail
    ADD CONSTRAINT mail_pkey PRIMARY KEY (case_id, about, person);

ALTER TABLE ONLY notice.matter
    ADD CONSTRAINT matter_pkey PRIMARY KEY (area, key);

ALTER TABLE ONLY notice.revealed
    ADD CONSTRAINT revealed_pkey PRIMARY KEY (case_id);

ALTER TABLE ONLY public.sealpost_migration
    ADD CONSTRAINT sealpost_migration_pkey PRIMARY KEY (id);

ALTER TABLE ONLY publication.due_further
    ADD CONSTRAINT due_further_pkey PRIMARY KEY (id);

ALTER TABLE ONLY publication.due
    ADD CONSTRAINT due_pkey PRIMARY KEY (id);

ALTER TABLE ONLY testmail.identity
    ADD CONSTRAINT identity_pkey PRIMARY KEY (id);

ALTER TABLE ONLY testmail.look
    ADD CONSTRAINT look_pkey PRIMARY KEY (only_one);

ALTER TABLE ONLY testmail.test
    ADD CONSTRAINT test_pkey PRIMARY KEY (id);

ALTER TABLE ONLY testmail.test
    ADD CONSTRAINT test_token_key UNIQUE (token);

ALTER TABLE ONLY web.handover
    ADD CONSTRAINT handover_pkey PRIMARY KEY (code);

ALTER TABLE ONLY web.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);

ALTER TABLE ONLY web.session
    ADD CONSTRAINT session_secret_key UNIQUE (secret);

CREATE INDEX case_party_case_id_idx ON archive.case_party USING btree (case_id);

CREATE INDEX case_record_capsule_sha256_idx ON archive.case_record USING btree (capsule_sha256);

CREATE INDEX ceremony_opened_at_idx ON archive.ceremony USING btree (opened_at);

CREATE INDEX foreign_certificate_mailboxes_idx ON archive.foreign_certificate USING gin (mailboxes);

CREATE INDEX foreign_certificate_person_number_idx ON archive.foreign_certificate USING btree (person, number);

CREATE INDEX parcel_ends_at_idx ON archive.parcel USING btree (ends_at) WHERE (ends_at IS NOT NULL);

CREATE INDEX record_capsule_sha256_idx ON archive.record USING btree (capsule_sha256);

CREATE INDEX record_deposited_at_idx ON archive.record USING btree (deposited_at) WHERE (state = 'held'::text);

CREATE INDEX record_person_deposited_at_idx ON archive.record USING btree (person, deposited_at);

CREATE INDEX record_wrapping_id_deposited_at_idx ON archive.record USING btree (wrapping_id, deposited_at);

CREATE INDEX recovery_case_deadline_idx ON archive.recovery_case USING btree (deadline) WHERE (state = ANY (ARRAY['requested'::text, 'approved'::text, 'released'::text]));

CREATE INDEX recovery_case_opened_at_id_idx ON archive.recovery_case USING btree (opened_at, id);

CREATE INDEX recovery_case_requester_opened_at_idx ON archive.recovery_case USING btree (requester, opened_at);

CREATE INDEX recovery_case_silent_until_idx ON archive.recovery_case USING btree (silent_until) WHERE (silent_until IS NOT NULL);

CREATE INDEX event_actor ON audit.event USING btree (actor, id) WHERE (actor <> '00000000-0000-0000-0000-000000000000'::uuid);

CREATE INDEX event_at ON audit.event USING btree (at);

CREATE INDEX event_kind ON audit.event USING btree (kind, id);

CREATE INDEX event_person ON audit.event USING btree (person, id) WHERE (person <> '00000000-0000-0000-0000-000000000000'::uuid);

CREATE INDEX event_subject ON audit.event USING btree (subject, id);

CREATE INDEX leaf_hash ON audit.leaf USING btree (hash);

CREATE INDEX certificate_end ON ca.certificate USING btree (not_after);

CREATE INDEX certificate_issued ON ca.certificate USING btree (issued_at);

CREATE INDEX certificate_key ON ca.certificate USING btree (spki_sha256);

CREATE INDEX certificate_mailbox ON ca.certificate USING gin (mailboxes);

CREATE INDEX certificate_person ON ca.certificate USING btree (person, profile, number);

CREATE INDEX prepared_key ON ca.prepared USING btree (spki_sha256) WHERE (use = ANY (ARRAY['agent'::text, 'service'::text]));

CREATE UNIQUE INDEX prepared_request ON ca.prepared USING btree (request, profile) WHERE (state <> 'abandoned'::text);

CREATE INDEX prepared_unsettled ON ca.prepared USING btree (prepared_at) WHERE (state = 'prepared'::text);

CREATE INDEX revocation_end ON ca.revocation USING btree (not_after);

CREATE INDEX revocation_serial ON ca.revocation USING btree (issuer, serial, change);

CREATE INDEX revocation_time ON ca.revocation USING btree (revoked_at);

CREATE INDEX change_target_number_idx ON directory.change USING btree (target, number) WHERE (told_at IS NULL);

CREATE INDEX leaver_state_number_idx ON enroll.leaver USING btree (state, number);

CREATE INDEX renewal_order_open ON enroll.renewal_order USING btree (number) WHERE (withdrawn_at IS NULL);

CREATE INDEX request_changed_at_idx ON enroll.request USING btree (changed_at) WHERE (state = ANY (ARRAY['received'::text, 'endorsed'::text]));

CREATE INDEX request_received_at_id_idx ON enroll.request USING btree (received_at, id) WHERE (state = 'submitted'::text);

CREATE INDEX token_list ON enroll.token USING btree (list, number) WHERE (list IS NOT NULL);

CREATE INDEX token_of ON enroll.token USING btree (person) WHERE ((request IS NULL) AND (withdrawn_at IS NULL));

CREATE INDEX token_open ON enroll.token USING btree (ends, number) WHERE ((request IS NULL) AND (withdrawn_at IS NULL));

CREATE INDEX token_person ON enroll.token USING btree (person, number);

CREATE INDEX token_spent ON enroll.token USING btree (request) WHERE (request IS NOT NULL);

CREATE INDEX machine_ends_at_last_at_idx ON fleet.machine USING btree (ends_at, last_at) WHERE (ends_at IS NOT NULL);

CREATE INDEX machine_failure_number_idx ON fleet.machine USING btree (failure, number) WHERE (failure <> ''::text);

CREATE INDEX machine_last_at_number_idx ON fleet.machine USING btree (last_at, number);

CREATE INDEX machine_system_number_idx ON fleet.machine USING btree (system, number);

CREATE INDEX machine_version_number_idx ON fleet.machine USING btree (version, number);

CREATE INDEX advertisement_person_idx ON gal.advertisement USING btree (person);

CREATE UNIQUE INDEX contact_current ON gal.contact USING btree (key) WHERE (state = 'current'::text);

CREATE INDEX contact_due_at_idx ON gal.contact USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX contact_key_idx ON gal.contact USING btree (key);

CREATE INDEX contact_value_key_idx ON gal.contact_value USING btree (key);

CREATE INDEX due_further_next ON publication.due_further USING btree (directory, not_before, id);

CREATE INDEX test_person_begun_at_idx ON testmail.test USING btree (person, begun_at);

CREATE INDEX test_until_idx ON testmail.test USING btree (until);

CREATE INDEX handover_ends_at_idx ON web.handover USING btree (ends_at);

CREATE INDEX session_ends_at_idx ON web.session USING btree (ends_at);

CREATE INDEX session_person_idx ON web.session USING btree (person);

CREATE TRIGGER only_held_records_go BEFORE DELETE ON archive.record FOR EACH ROW EXECUTE FUNCTION archive.only_held_records_go();

ALTER TABLE ONLY archive.case_answer
    ADD CONSTRAINT case_answer_case_id_fkey FOREIGN KEY (case_id) REFERENCES archive.recovery_case(id);

ALTER TABLE ONLY archive.case_delivery
    ADD CONSTRAINT case_delivery_case_id_fkey FOREIGN KEY (case_id) REFERENCES archive.recovery_case(id);

ALTER TABLE ONLY archive.case_partials
    ADD CONSTRAINT case_partials_case_id_agent_fkey FOREIGN KEY (case_id, agent) REFERENCES archive.case_answer(case_id, agent);

ALTER TABLE ONLY archive.case_party
    ADD CONSTRAINT case_party_case_id_fkey FOREIGN KEY (case_id) REFERENCES archive.recovery_case(id);

ALTER TABLE ONLY archive.case_record
    ADD CONSTRAINT case_record_case_id_fkey FOREIGN KEY (case_id) REFERENCES archive.recovery_case(id);

ALTER TABLE ONLY archive.ceremony_message
    ADD CONSTRAINT ceremony_message_plan_sha256_fkey FOREIGN KEY (plan_sha256) REFERENCES archive.ceremony(plan_sha256);

ALTER TABLE ONLY archive.drill
    ADD CONSTRAINT drill_roster_fkey FOREIGN KEY (roster) REFERENCES archive.roster(hash);

ALTER TABLE ONLY archive.foreign_certificate
    ADD CONSTRAINT foreign_certificate_spki_sha256_fkey FOREIGN KEY (spki_sha256) REFERENCES archive.record(spki_sha256);

ALTER TABLE ONLY archive.recovery_case
    ADD CONSTRAINT recovery_case_roster_fkey FOREIGN KEY (roster) REFERENCES archive.roster(hash);

ALTER TABLE ONLY ca.revocation
    ADD CONSTRAINT revocation_issuer_serial_fkey FOREIGN KEY (issuer, serial) REFERENCES ca.prepared(issuer, serial);

ALTER TABLE ONLY crl.list
    ADD CONSTRAINT list_issuer_fkey FOREIGN KEY (issuer) REFERENCES crl.issuer(id);

ALTER TABLE ONLY crl.segment
    ADD CONSTRAINT segment_issuer_fkey FOREIGN KEY (issuer) REFERENCES crl.issuer(id);

ALTER TABLE ONLY enroll.token
    ADD CONSTRAINT token_request_fkey FOREIGN KEY (request) REFERENCES enroll.request(id);

ALTER TABLE ONLY fleet.report
    ADD CONSTRAINT report_machine_fkey FOREIGN KEY (machine) REFERENCES fleet.machine(number) ON DELETE CASCADE;

GRANT USAGE ON SCHEMA archive TO sealpost_archive;

GRANT USAGE ON SCHEMA audit TO sealpost_audit;
GRANT USAGE ON SCHEMA audit TO sealpost_sequencer;
GRANT USAGE ON SCHEMA audit TO sealpost_ca;
GRANT USAGE ON SCHEMA audit TO sealpost_archive;
GRANT USAGE ON SCHEMA audit TO sealpost_directory;
GRANT USAGE ON SCHEMA audit TO sealpost_enroll;
GRANT USAGE ON SCHEMA audit TO sealpost_crl;
GRANT USAGE ON SCHEMA audit TO sealpost_gal;
GRANT USAGE ON SCHEMA audit TO sealpost_web;
GRANT USAGE ON SCHEMA audit TO sealpost_testmail;
GRANT USAGE ON SCHEMA audit TO sealpost_fleet;

GRANT USAGE ON SCHEMA ca TO sealpost_ca;

GRANT USAGE ON SCHEMA crl TO sealpost_crl;

GRANT USAGE ON SCHEMA directory TO sealpost_directory;

GRANT USAGE ON SCHEMA enroll TO sealpost_enroll;

GRANT USAGE ON SCHEMA fleet TO sealpost_fleet;

GRANT USAGE ON SCHEMA gal TO sealpost_gal;

GRANT USAGE ON SCHEMA keyuse TO sealpost_ca;
GRANT USAGE ON SCHEMA keyuse TO sealpost_archive;

GRANT USAGE ON SCHEMA notice TO sealpost_notice;

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO sealpost_jobs;

GRANT USAGE ON SCHEMA publication TO sealpost_jobs;
GRANT USAGE ON SCHEMA publication TO sealpost_ca;
GRANT USAGE ON SCHEMA publication TO sealpost_enroll;
GRANT USAGE ON SCHEMA publication TO sealpost_gal;

GRANT USAGE ON SCHEMA require TO sealpost_jobs;
GRANT USAGE ON SCHEMA require TO sealpost_audit;
GRANT USAGE ON SCHEMA require TO sealpost_sequencer;
GRANT USAGE ON SCHEMA require TO sealpost_ca;
GRANT USAGE ON SCHEMA require TO sealpost_archive;
GRANT USAGE ON SCHEMA require TO sealpost_directory;
GRANT USAGE ON SCHEMA require TO sealpost_enroll;
GRANT USAGE ON SCHEMA require TO sealpost_crl;
GRANT USAGE ON SCHEMA require TO sealpost_gal;
GRANT USAGE ON SCHEMA require TO sealpost_web;

GRANT USAGE ON SCHEMA testmail TO sealpost_testmail;

GRANT USAGE ON SCHEMA web TO sealpost_web;

GRANT SELECT,INSERT ON TABLE archive.case_answer TO sealpost_archive;

GRANT UPDATE(dispute) ON TABLE archive.case_answer TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.case_delivery TO sealpost_archive;

GRANT UPDATE(collected_at) ON TABLE archive.case_delivery TO sealpost_archive;

GRANT SELECT,INSERT,DELETE ON TABLE archive.case_partials TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.case_party TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.case_record TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.ceremony TO sealpost_archive;

GRANT UPDATE(changed_at) ON TABLE archive.ceremony TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.ceremony_message TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.drill TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.foreign_certificate TO sealpost_archive;

GRANT SELECT,INSERT,DELETE ON TABLE archive.parcel TO sealpost_archive;

GRANT UPDATE(content) ON TABLE archive.parcel TO sealpost_archive;

GRANT UPDATE(kept_at) ON TABLE archive.parcel TO sealpost_archive;

GRANT UPDATE(ends_at) ON TABLE archive.parcel TO sealpost_archive;

GRANT SELECT,INSERT,DELETE ON TABLE archive.record TO sealpost_archive;

GRANT UPDATE(key_id) ON TABLE archive.record TO sealpost_archive;

GRANT UPDATE(wrapping_id) ON TABLE archive.record TO sealpost_archive;

GRANT UPDATE(state) ON TABLE archive.record TO sealpost_archive;

GRANT UPDATE(sealed) ON TABLE archive.record TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.recovery_case TO sealpost_archive;

GRANT UPDATE(state) ON TABLE archive.recovery_case TO sealpost_archive;

GRANT UPDATE(reason) ON TABLE archive.recovery_case TO sealpost_archive;

GRANT UPDATE(changed_at) ON TABLE archive.recovery_case TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE archive.roster TO sealpost_archive;

GRANT SELECT ON TABLE audit.checkpoint TO sealpost_audit;
GRANT SELECT,INSERT ON TABLE audit.checkpoint TO sealpost_sequencer;

GRANT SELECT,INSERT ON TABLE audit.countersignature TO sealpost_audit;

GRANT SELECT,INSERT ON TABLE audit.event TO sealpost_audit;
GRANT INSERT ON TABLE audit.event TO sealpost_ca;
GRANT INSERT ON TABLE audit.event TO sealpost_archive;
GRANT INSERT ON TABLE audit.event TO sealpost_directory;
GRANT INSERT ON TABLE audit.event TO sealpost_enroll;
GRANT INSERT ON TABLE audit.event TO sealpost_crl;
GRANT INSERT ON TABLE audit.event TO sealpost_gal;
GRANT INSERT ON TABLE audit.event TO sealpost_web;
GRANT INSERT ON TABLE audit.event TO sealpost_testmail;
GRANT INSERT ON TABLE audit.event TO sealpost_fleet;

GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_audit;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_ca;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_archive;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_directory;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_enroll;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_crl;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_gal;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_web;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_testmail;
GRANT USAGE ON SEQUENCE audit.event_id TO sealpost_fleet;

GRANT SELECT ON TABLE audit.leaf TO sealpost_audit;
GRANT SELECT,INSERT ON TABLE audit.leaf TO sealpost_sequencer;

GRANT SELECT ON TABLE audit.node TO sealpost_audit;
GRANT SELECT,INSERT ON TABLE audit.node TO sealpost_sequencer;

GRANT SELECT,INSERT ON TABLE audit.pending TO sealpost_audit;
GRANT INSERT ON TABLE audit.pending TO sealpost_ca;
GRANT INSERT ON TABLE audit.pending TO sealpost_archive;
GRANT INSERT ON TABLE audit.pending TO sealpost_directory;
GRANT INSERT ON TABLE audit.pending TO sealpost_enroll;
GRANT INSERT ON TABLE audit.pending TO sealpost_crl;
GRANT INSERT ON TABLE audit.pending TO sealpost_gal;
GRANT INSERT ON TABLE audit.pending TO sealpost_web;
GRANT SELECT,DELETE ON TABLE audit.pending TO sealpost_sequencer;
GRANT INSERT ON TABLE audit.pending TO sealpost_testmail;
GRANT INSERT ON TABLE audit.pending TO sealpost_fleet;

GRANT SELECT,INSERT ON TABLE ca.certificate TO sealpost_ca;

GRANT SELECT,INSERT ON TABLE ca.issuer TO sealpost_ca;

GRANT UPDATE(changes) ON TABLE ca.issuer TO sealpost_ca;

GRANT UPDATE(partitions) ON TABLE ca.issuer TO sealpost_ca;

GRANT SELECT,INSERT ON TABLE ca.prepared TO sealpost_ca;

GRANT UPDATE(state) ON TABLE ca.prepared TO sealpost_ca;

GRANT UPDATE(settled_at) ON TABLE ca.prepared TO sealpost_ca;

GRANT SELECT,INSERT ON TABLE ca.revocation TO sealpost_ca;

GRANT SELECT,INSERT,UPDATE ON TABLE crl.issuer TO sealpost_crl;

GRANT SELECT,INSERT,DELETE ON TABLE crl.list TO sealpost_crl;

GRANT UPDATE(head) ON TABLE crl.list TO sealpost_crl;

GRANT UPDATE(segments) ON TABLE crl.list TO sealpost_crl;

GRANT UPDATE(tail) ON TABLE crl.list TO sealpost_crl;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crl.point TO sealpost_crl;

GRANT SELECT,INSERT,DELETE ON TABLE crl.segment TO sealpost_crl;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE directory.change TO sealpost_directory;

GRANT SELECT,INSERT ON TABLE directory.person TO sealpost_directory;

GRANT SELECT,INSERT,UPDATE ON TABLE directory.watch TO sealpost_directory;

GRANT SELECT,INSERT,UPDATE ON TABLE directory.watermark TO sealpost_directory;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE enroll.leaver TO sealpost_enroll;

GRANT SELECT,INSERT,UPDATE ON TABLE enroll.leaver_sweep TO sealpost_enroll;

GRANT SELECT,INSERT ON TABLE enroll.renewal_order TO sealpost_enroll;

GRANT UPDATE(withdrawn_by) ON TABLE enroll.renewal_order TO sealpost_enroll;

GRANT UPDATE(withdrawn_at) ON TABLE enroll.renewal_order TO sealpost_enroll;

GRANT SELECT,INSERT,UPDATE ON TABLE enroll.request TO sealpost_enroll;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE enroll.server_key TO sealpost_enroll;

GRANT SELECT,INSERT,UPDATE ON TABLE enroll.token TO sealpost_enroll;

GRANT SELECT,INSERT,DELETE ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(person_name) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(last_at) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(reported_at) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(system) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(version) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(failure) ON TABLE fleet.machine TO sealpost_fleet;

GRANT UPDATE(ends_at) ON TABLE fleet.machine TO sealpost_fleet;

GRANT SELECT,INSERT ON TABLE fleet.report TO sealpost_fleet;

GRANT UPDATE(report) ON TABLE fleet.report TO sealpost_fleet;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gal.advertisement TO sealpost_gal;

GRANT SELECT,INSERT,UPDATE ON TABLE gal.contact TO sealpost_gal;

GRANT SELECT,INSERT ON TABLE gal.contact_value TO sealpost_gal;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gal.drift TO sealpost_gal;

GRANT SELECT,INSERT ON TABLE gal.search_key TO sealpost_gal;

GRANT SELECT,INSERT,UPDATE ON TABLE gal.sweep TO sealpost_gal;

GRANT SELECT,INSERT ON TABLE keyuse.key_use TO sealpost_ca;
GRANT SELECT,INSERT ON TABLE keyuse.key_use TO sealpost_archive;

GRANT SELECT,INSERT ON TABLE notice.mail TO sealpost_notice;

GRANT UPDATE(unanswered) ON TABLE notice.mail TO sealpost_notice;

GRANT UPDATE(outcome) ON TABLE notice.mail TO sealpost_notice;

GRANT UPDATE(done_at) ON TABLE notice.mail TO sealpost_notice;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE notice.matter TO sealpost_notice;

GRANT SELECT,INSERT ON TABLE notice.revealed TO sealpost_notice;

GRANT SELECT ON TABLE public.sealpost_migration TO sealpost_jobs;

GRANT INSERT ON TABLE publication.due TO sealpost_ca;
GRANT INSERT ON TABLE publication.due TO sealpost_enroll;
GRANT SELECT,DELETE ON TABLE publication.due TO sealpost_jobs;
GRANT INSERT ON TABLE publication.due TO sealpost_gal;

GRANT UPDATE(attempts) ON TABLE publication.due TO sealpost_jobs;

GRANT UPDATE(not_before) ON TABLE publication.due TO sealpost_jobs;

GRANT UPDATE(copied) ON TABLE publication.due TO sealpost_jobs;

GRANT SELECT,INSERT,DELETE ON TABLE publication.due_further TO sealpost_jobs;

GRANT UPDATE(attempts) ON TABLE publication.due_further TO sealpost_jobs;

GRANT UPDATE(not_before) ON TABLE publication.due_further TO sealpost_jobs;

GRANT SELECT,INSERT,DELETE ON TABLE testmail.identity TO sealpost_testmail;

GRANT UPDATE(signing_key) ON TABLE testmail.identity TO sealpost_testmail;

GRANT UPDATE(encryption_key) ON TABLE testmail.identity TO sealpost_testmail;

GRANT UPDATE(signing) ON TABLE testmail.identity TO sealpost_testmail;

GRANT UPDATE(encryption) ON TABLE testmail.identity TO sealpost_testmail;

GRANT UPDATE(ends_at) ON TABLE testmail.identity TO sealpost_testmail;

GRANT SELECT,INSERT ON TABLE testmail.look TO sealpost_testmail;

GRANT UPDATE(looked_at) ON TABLE testmail.look TO sealpost_testmail;

GRANT UPDATE(failed_at) ON TABLE testmail.look TO sealpost_testmail;

GRANT UPDATE(failure) ON TABLE testmail.look TO sealpost_testmail;

GRANT SELECT,INSERT,DELETE ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(sent_at) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(failed_at) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(failure) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(said) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(notice) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(answers) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(answered_at) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(theirs) ON TABLE testmail.test TO sealpost_testmail;

GRANT UPDATE(findings) ON TABLE testmail.test TO sealpost_testmail;

GRANT SELECT,INSERT,DELETE ON TABLE web.handover TO sealpost_web;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE web.session TO sealpost_web;

