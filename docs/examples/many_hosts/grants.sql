GRANT USAGE ON SCHEMA pacer TO papers;
GRANT SELECT ON pacer.pacer_migrations TO papers;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON pacer.pacer_queues, pacer.pacer_jobs, pacer.pacer_workers,
       pacer.pacer_minutes, pacer.pacer_stage
    TO papers;
