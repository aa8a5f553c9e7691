-- +goose Up
-- One login role that owns and inherits nothing, and one role per room. Roles belong to the cluster, so a second
-- database finds them there; two that migrate at the same moment may both find them absent.
-- +goose StatementBegin
do $$
declare
  r text;
begin
  foreach r in array array['"sealpost_jobs"', '"sealpost_audit"', '"sealpost_sequencer"', '"sealpost_ca"', '"sealpost_archive"',
                           '"sealpost_directory"', '"sealpost_enroll"', '"sealpost_crl"', '"sealpost_gal"', '"sealpost_web"'] loop
    begin
      execute 'create role ' || r || ' nologin';
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
  begin
    execute 'create role "sealpost_server" login noinherit';
  exception when duplicate_object or unique_violation then null;
  end;
end $$;
-- +goose StatementEnd
grant "sealpost_jobs", "sealpost_audit", "sealpost_sequencer", "sealpost_ca", "sealpost_archive",
  "sealpost_directory", "sealpost_enroll", "sealpost_crl", "sealpost_gal", "sealpost_web" to "sealpost_server";

revoke all on schema public from public;
-- The server compares the schema's number with its own at start, as its idle role.
grant usage on schema public to "sealpost_jobs";
grant select on public.sealpost_migration to "sealpost_jobs";
