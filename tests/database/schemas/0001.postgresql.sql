CREATE TABLE public.kamiwaza_alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.kamiwaza_model (
    id uuid NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    name character varying(255) NOT NULL COLLATE pg_catalog."C",
    family character varying(255) COLLATE pg_catalog."C",
    task character varying(255) COLLATE pg_catalog."C",
    author character varying(255) COLLATE pg_catalog."C",
    hub character varying(255) COLLATE pg_catalog."C",
    source_repository character varying(2048),
    description text,
    license character varying(255) COLLATE pg_catalog."C",
    model_card text,
    private boolean NOT NULL,
    revision integer NOT NULL,
    last_number integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone
);

CREATE TABLE public.kamiwaza_model_file (
    version_id uuid NOT NULL,
    path character varying(1024) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    format character varying(64)
);

CREATE TABLE public.kamiwaza_model_version (
    id uuid NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    model_id uuid NOT NULL,
    number integer NOT NULL,
    version character varying(255) NOT NULL COLLATE pg_catalog."C",
    source_revision character varying(255),
    digest character varying(64) NOT NULL,
    size bigint NOT NULL,
    status character varying(16) NOT NULL,
    details jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_kamiwaza_model_version_status CHECK (((status)::text = ANY ((ARRAY['draft'::character varying, 'ready'::character varying, 'archived'::character varying, 'failed'::character varying])::text[])))
);

INSERT INTO public.kamiwaza_alembic_version VALUES ('0001');

INSERT INTO public.kamiwaza_model VALUES ('01a20f91-1f60-79a5-909e-3534f465490b', 'default', 'sentence-transformers/all-MiniLM-L6-v2', 'bert', 'feature-extraction', 'sentence-transformers', 'huggingface', 'sentence-transformers/all-MiniLM-L6-v2', 'Maps sentences & paragraphs to a 384 dimensional dense vector space.', 'apache-2.0', '# all-MiniLM-L6-v2

It''s for "semantic search"; 100% free.
', false, 1, 5, '2026-11-24 21:58:18.720522+00', '2026-11-24 21:58:18.720522+00', NULL);
INSERT INTO public.kamiwaza_model VALUES ('01a20f91-1f76-7905-9414-e5e8398f0d03', 'default', 'gone', NULL, NULL, 'Nobody', NULL, NULL, NULL, NULL, NULL, false, 2, 1, '2026-11-24 21:58:18.742558+00', '2026-11-24 21:58:18.744675+00', '2026-11-24 21:58:18.744675+00');
INSERT INTO public.kamiwaza_model VALUES ('01a20f91-1f79-7e75-af9b-e2dcd67805b5', 'default', '-', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 1, 0, '2026-11-24 21:58:18.745898+00', '2026-11-24 21:58:18.745898+00', NULL);
INSERT INTO public.kamiwaza_model VALUES ('01a20f91-1f7a-7413-8f08-9a3818b2a9a9', 'équipe', 'Café-日本語', NULL, NULL, 'Søren Ørsted', NULL, NULL, 'Ein schöner Satz über Größe; 漢字と仮名。', 'mit', NULL, false, 2, 1, '2026-11-24 21:58:18.746251+00', '2026-11-24 21:58:18.74796+00', NULL);

INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f64-750c-b84c-52f4773b9444', 'model.safetensors', 'default', 90, '000000000000000000000000000000000000000000000000000000000000005a', 'safetensors');
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f64-750c-b84c-52f4773b9444', 'config.json', 'default', 7, '0000000000000000000000000000000000000000000000000000000000000007', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f70-77cd-8fb4-79f3e0389926', 'onnx/model.onnx', 'default', 91, '000000000000000000000000000000000000000000000000000000000000005b', 'onnx');
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f70-77cd-8fb4-79f3e0389926', 'onnx/q8.onnx', 'default', 23, '0000000000000000000000000000000000000000000000000000000000000017', 'onnx');
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f70-77cd-8fb4-79f3e0389926', 'README.md', 'default', 5, '0000000000000000000000000000000000000000000000000000000000000005', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f72-7496-a8f1-6cfeafe9258b', 'model.onnx', 'default', 91, '000000000000000000000000000000000000000000000000000000000000005b', 'onnx');
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f72-7496-a8f1-6cfeafe9258b', 'model.gguf', 'default', 92, '000000000000000000000000000000000000000000000000000000000000005c', 'gguf');
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f73-7bbe-b1b6-d7ed3297182f', 'weights.bin', 'default', 93, '000000000000000000000000000000000000000000000000000000000000005d', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f75-76a1-9ef0-8f5e5cfd1f3c', 'weights.bin', 'default', 94, '000000000000000000000000000000000000000000000000000000000000005e', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f77-757a-be92-bc08db8c624a', 'gone.bin', 'default', 95, '000000000000000000000000000000000000000000000000000000000000005f', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a20f91-1f7a-7e83-973a-eebd765c97b8', 'modèle.gguf', 'équipe', 96, '0000000000000000000000000000000000000000000000000000000000000060', 'gguf');

INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f64-750c-b84c-52f4773b9444', 'default', '01a20f91-1f60-79a5-909e-3534f465490b', 1, 'v1', '8b3219a9', 'a1f103e7865bb9d91bc391d20d392fa0ae393180a69f88258daf620bb8e1dbcc', 97, 'ready', '{"format": "safetensors", "parameters": {"F32": 10, "I64": 512}, "architecture": "BertModel"}', '2026-11-24 21:58:18.724312+00', '2026-11-24 21:58:18.724312+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f70-77cd-8fb4-79f3e0389926', 'default', '01a20f91-1f60-79a5-909e-3534f465490b', 2, '2', NULL, '70fc6e7a1273095596a584b5736da85703000ed116dc1f31142745d1614fda74', 119, 'ready', '{"parameters": 22713216}', '2026-11-24 21:58:18.736483+00', '2026-11-24 21:58:18.736483+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f72-7496-a8f1-6cfeafe9258b', 'default', '01a20f91-1f60-79a5-909e-3534f465490b', 3, '3', NULL, '632276cf78a79ca59939800a34634687579375f84a2e8db0a215e462a082bc5b', 183, 'ready', '{"format": "", "parameters": {"F32": "many"}}', '2026-11-24 21:58:18.738284+00', '2026-11-24 21:58:18.738284+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f73-7bbe-b1b6-d7ed3297182f', 'default', '01a20f91-1f60-79a5-909e-3534f465490b', 4, '4', NULL, 'd79c58b9e3f66eb562fd5e18b863c55d19543483fe940155be1340801c459cdd', 93, 'ready', '{"format": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "parameters": true}', '2026-11-24 21:58:18.739732+00', '2026-11-24 21:58:18.739732+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f75-76a1-9ef0-8f5e5cfd1f3c', 'default', '01a20f91-1f60-79a5-909e-3534f465490b', 5, '5', NULL, '665c501f311bb070ab6e0c20227382f054f5d9d8366446dcdb28cd7abff7cb76', 94, 'ready', '{"parameters": {"I8": 1, "F32": 9223372036854775807}}', '2026-11-24 21:58:18.741412+00', '2026-11-24 21:58:18.741412+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f77-757a-be92-bc08db8c624a', 'default', '01a20f91-1f76-7905-9414-e5e8398f0d03', 1, '1', NULL, '7d4c1b0206e914641c68e04cb722a24efb7c4c1c95624ddfd50cf42fcd838167', 95, 'ready', '{"format": "bin", "parameters": 0}', '2026-11-24 21:58:18.743339+00', '2026-11-24 21:58:18.743339+00');
INSERT INTO public.kamiwaza_model_version VALUES ('01a20f91-1f7a-7e83-973a-eebd765c97b8', 'équipe', '01a20f91-1f7a-7413-8f08-9a3818b2a9a9', 1, '1', NULL, '78677749d28e42fc677c1835bbc71004391eb70c4fd87892c4cf4fa003cb0e9b', 96, 'ready', '{"note": "größer", "parameters": {}}', '2026-11-24 21:58:18.746905+00', '2026-11-24 21:58:18.746905+00');

ALTER TABLE ONLY public.kamiwaza_alembic_version
    ADD CONSTRAINT kamiwaza_alembic_version_pkey PRIMARY KEY (version_num);

ALTER TABLE ONLY public.kamiwaza_model
    ADD CONSTRAINT pk_kamiwaza_model PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model_file
    ADD CONSTRAINT pk_kamiwaza_model_file PRIMARY KEY (version_id, path);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT pk_kamiwaza_model_version PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model
    ADD CONSTRAINT uq_kamiwaza_model_namespace_id UNIQUE (namespace, id);

ALTER TABLE ONLY public.kamiwaza_model
    ADD CONSTRAINT uq_kamiwaza_model_namespace_name UNIQUE (namespace, name);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT uq_kamiwaza_model_version_namespace_id UNIQUE (namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_number UNIQUE (namespace, model_id, number);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_version UNIQUE (namespace, model_id, version);

CREATE INDEX ix_kamiwaza_model_file_sha256 ON public.kamiwaza_model_file USING btree (sha256);

CREATE INDEX ix_kamiwaza_model_version_namespace_model_id_digest ON public.kamiwaza_model_version USING btree (namespace, model_id, digest);

ALTER TABLE ONLY public.kamiwaza_model_file
    ADD CONSTRAINT fk_kamiwaza_model_file_namespace_version_id FOREIGN KEY (namespace, version_id) REFERENCES public.kamiwaza_model_version(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT fk_kamiwaza_model_version_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);
