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
    deleted_at timestamp with time zone,
    last_event integer DEFAULT 0 NOT NULL,
    last_event_at timestamp with time zone,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE public.kamiwaza_model_alias (
    model_id uuid NOT NULL,
    alias character varying(255) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    version_id uuid NOT NULL,
    number integer NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.kamiwaza_model_config (
    id uuid NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    model_id uuid NOT NULL,
    version_id uuid,
    name character varying(255) NOT NULL COLLATE pg_catalog."C",
    is_default boolean NOT NULL,
    config jsonb NOT NULL,
    system_config jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.kamiwaza_model_document (
    id bigint NOT NULL,
    model_id uuid NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    words tsvector NOT NULL
);

CREATE SEQUENCE public.kamiwaza_model_document_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.kamiwaza_model_document_id_seq OWNED BY public.kamiwaza_model_document.id;

CREATE TABLE public.kamiwaza_model_event (
    model_id uuid NOT NULL,
    sequence integer NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL,
    kind character varying(32) NOT NULL,
    actor character varying(255),
    version_id uuid,
    alias character varying(255) COLLATE pg_catalog."C",
    before jsonb NOT NULL,
    after jsonb NOT NULL
);

CREATE TABLE public.kamiwaza_model_file (
    version_id uuid NOT NULL,
    path character varying(1024) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    format character varying(64),
    url character varying(2048)
);

CREATE TABLE public.kamiwaza_model_lineage (
    version_id uuid NOT NULL,
    parent_id uuid NOT NULL,
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    relation character varying(16) NOT NULL,
    CONSTRAINT ck_kamiwaza_model_lineage_parent CHECK ((version_id <> parent_id))
);

CREATE TABLE public.kamiwaza_model_tag (
    model_id uuid NOT NULL,
    key character varying(255) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL,
    value_start character varying(64) NOT NULL COLLATE pg_catalog."C"
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
    format character varying(64) COLLATE pg_catalog."C",
    parameters bigint,
    source character varying(2048),
    hub character varying(255) COLLATE pg_catalog."C",
    source_repository character varying(2048),
    description text,
    architecture character varying(255) COLLATE pg_catalog."C",
    quantization character varying(255) COLLATE pg_catalog."C",
    context_length bigint,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    CONSTRAINT ck_kamiwaza_model_version_status CHECK (((status)::text = ANY (ARRAY[('draft'::character varying)::text, ('ready'::character varying)::text, ('archived'::character varying)::text, ('failed'::character varying)::text])))
);

CREATE TABLE public.kamiwaza_model_version_tag (
    version_id uuid NOT NULL,
    key character varying(255) NOT NULL COLLATE pg_catalog."C",
    namespace character varying(255) NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL,
    value_start character varying(64) NOT NULL COLLATE pg_catalog."C"
);

ALTER TABLE ONLY public.kamiwaza_model_document ALTER COLUMN id SET DEFAULT nextval('public.kamiwaza_model_document_id_seq'::regclass);

INSERT INTO public.kamiwaza_alembic_version VALUES ('0003');

INSERT INTO public.kamiwaza_model VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 'default', 'meta-llama/Llama-3.2-1B', 'llama', 'text-generation', 'meta-llama', 'huggingface', 'meta-llama/Llama-3.2-1B', 'Small and multilingual.', 'llama3.2', '---
license: llama3.2
# Llama 3.2

It''s distilled; Grösse: 1.23B parameters.
', false, 1, 3, '2026-11-30 20:45:14.436397+00', '2026-11-30 20:45:14.436397+00', NULL, 11, '2026-11-30 20:45:14.889331+00', '{}');
INSERT INTO public.kamiwaza_model VALUES ('01a22e34-6317-7d48-88e7-26c3303ee7f7', 'default', 'gone', NULL, NULL, 'Nobody', NULL, NULL, NULL, NULL, 'Vanished.', false, 2, 1, '2026-11-30 20:45:14.903793+00', '2026-11-30 20:45:14.92172+00', '2026-11-30 20:45:14.92172+00', 3, '2026-11-30 20:45:14.92172+00', '{}');
INSERT INTO public.kamiwaza_model VALUES ('01a22e34-6349-762d-a97e-8eee87ee3562', 'équipe', 'Café-日本語', NULL, NULL, 'Søren Ørsted', NULL, NULL, 'Ein schöner Satz über Größe; 漢字と仮名。', 'mit', NULL, false, 1, 1, '2026-11-30 20:45:14.953361+00', '2026-11-30 20:45:14.953361+00', NULL, 2, '2026-11-30 20:45:14.957405+00', '{}');
INSERT INTO public.kamiwaza_model VALUES ('01a22e34-6359-7a51-aa12-0a8111e71eab', 'default', '-', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 1, 1, '2026-11-30 20:45:14.96961+00', '2026-11-30 20:45:14.96961+00', NULL, 2, '2026-12-01 04:19:03.884326+00', '{}');

INSERT INTO public.kamiwaza_model_alias VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 'production', 'default', '01a22e34-6245-77c8-9c19-5a1261dd30d8', 2, '2026-11-30 20:45:14.842479+00');

INSERT INTO public.kamiwaza_model_config VALUES ('01a22e34-62f1-7602-b706-3118711d2401', 'default', '01a22e34-6144-76f2-9e52-629bb7e5c814', NULL, 'usual', true, '{"temperature": 0.2}', '{}', '2026-11-30 20:45:14.857845+00', '2026-11-30 20:45:14.857845+00');
INSERT INTO public.kamiwaza_model_config VALUES ('01a22e34-630d-7f30-9ac0-ae0547608212', 'default', '01a22e34-6144-76f2-9e52-629bb7e5c814', '01a22e34-6245-77c8-9c19-5a1261dd30d8', 'own', false, '{"quantisation": "mine"}', '{}', '2026-11-30 20:45:14.889331+00', '2026-11-30 20:45:14.889331+00');

INSERT INTO public.kamiwaza_model_document VALUES (3, '01a22e34-6349-762d-a97e-8eee87ee3562', 'équipe', '''7c66cf2fa'' ''7c66cf2fcafe'' ''7c66cf2fein'' ''7c66cf2fgrosse'' ''7c66cf2fof'' ''7c66cf2fquantisation'' ''7c66cf2fsatz'' ''7c66cf2fschoner'' ''7c66cf2fsøren'' ''7c66cf2ftag'' ''7c66cf2ftheirs'' ''7c66cf2fuber'' ''7c66cf2førsted'' ''7c66cf2f日本語'' ''7c66cf2f漢字と仮名''');
INSERT INTO public.kamiwaza_model_document VALUES (4, '01a22e34-6359-7a51-aa12-0a8111e71eab', 'default', '');
INSERT INTO public.kamiwaza_model_document VALUES (1, '01a22e34-6144-76f2-9e52-629bb7e5c814', 'default', '''c522b5391'' ''c522b5391b'' ''c522b5392'' ''c522b53923b'' ''c522b5393'' ''c522b539and'' ''c522b539distilled'' ''c522b539en'' ''c522b539grosse'' ''c522b539it'' ''c522b539lang'' ''c522b539license'' ''c522b539llama'' ''c522b539llama3'' ''c522b539meta'' ''c522b539multilingual'' ''c522b539parameters'' ''c522b539s'' ''c522b539small''');
INSERT INTO public.kamiwaza_model_document VALUES (2, '01a22e34-6317-7d48-88e7-26c3303ee7f7', 'default', '''xc522b539gone'' ''xc522b539nobody'' ''xc522b539vanished''');

INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 1, 'default', '2026-11-30 20:45:14.436397+00', 'model.created', 'ada', NULL, NULL, '{}', '{"hub": "huggingface", "name": "meta-llama/Llama-3.2-1B", "tags": {"lang": "en"}, "task": "text-generation", "author": "meta-llama", "family": "llama", "license": "llama3.2", "model_card": "---\nlicense: llama3.2\n---\n# Llama 3.2\n\nIt''s distilled; Grösse: 1.23B parameters.\n", "description": "Small and multilingual.", "source_repository": "meta-llama/Llama-3.2-1B"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 2, 'default', '2026-11-30 20:45:14.481616+00', 'version.created', 'ada', '01a22e34-6171-7a34-b600-5767943a5b9a', NULL, '{}', '{"size": 2471646485, "tags": {"stage": "raw"}, "digest": "b6707b57bd21ff1e820b44cf3a3de6f73b17cbfdb1653cf438435082ac8c5b6a", "number": 1, "status": "ready", "details": {"format": "safetensors", "parameters": {"BF16": 1235814400}, "architecture": "LlamaForCausalLM", "context_length": 131072}, "version": "v1", "source_revision": "4e20de362430cd3b72f300e6b0f18e50e7166e08"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 6, 'default', '2026-11-30 20:45:14.767776+00', 'parent.set', 'ada', '01a22e34-625b-71af-bb31-b0087ba52911', NULL, '{}', '{"relation": "merged", "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 8, 'default', '2026-11-30 20:45:14.815092+00', 'alias.set', 'ada', '01a22e34-6171-7a34-b600-5767943a5b9a', 'production', '{}', '{"number": 1, "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 9, 'default', '2026-11-30 20:45:14.842479+00', 'alias.set', 'ada', '01a22e34-6245-77c8-9c19-5a1261dd30d8', 'production', '{"number": 1, "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}', '{"number": 2, "version_id": "01a22e34-6245-77c8-9c19-5a1261dd30d8"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 10, 'default', '2026-11-30 20:45:14.857845+00', 'config.created', 'ada', NULL, NULL, '{}', '{"name": "usual", "config": {"temperature": 0.2}, "is_default": true, "system_config": {}}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6317-7d48-88e7-26c3303ee7f7', 1, 'default', '2026-11-30 20:45:14.903793+00', 'model.created', 'ada', NULL, NULL, '{}', '{"name": "gone", "author": "Nobody", "model_card": "Vanished."}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6317-7d48-88e7-26c3303ee7f7', 3, 'default', '2026-11-30 20:45:14.92172+00', 'model.deleted', 'ada', NULL, NULL, '{}', '{}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6349-762d-a97e-8eee87ee3562', 2, 'équipe', '2026-11-30 20:45:14.957405+00', 'version.created', NULL, '01a22e34-634d-76c2-9f29-d9a02c37289f', NULL, '{}', '{"size": 96, "digest": "d0bde7b6f00ba736096f67eb39fb05a918b60c8f6a7439164f252d4d381636e3", "number": 1, "status": "ready", "details": {"note": "größer"}, "version": "1"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6359-7a51-aa12-0a8111e71eab', 1, 'default', '2026-11-30 20:45:14.96961+00', 'model.created', 'ada', NULL, NULL, '{}', '{"name": "-"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 3, 'default', '2026-11-30 20:45:14.693461+00', 'version.created', 'ada', '01a22e34-6245-77c8-9c19-5a1261dd30d8', NULL, '{}', '{"size": 807694464, "digest": "46e70c7ae388764bc1d868e9c25376212214a0719aba081283f5dcdb33097990", "number": 2, "status": "ready", "details": {"format": "gguf", "parameters": {"Q4_K": 1235814400}, "architecture": "llama", "quantization": "Q4_K", "context_length": 131072}, "version": "2", "derived_from": [{"relation": "quantized", "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}]}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 4, 'default', '2026-11-30 20:45:14.715084+00', 'version.created', 'ada', '01a22e34-625b-71af-bb31-b0087ba52911', NULL, '{}', '{"size": 0, "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "number": 3, "status": "draft", "details": {"note": {"quantisation": "mine"}, "architecture": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "quantization": ["Q4"], "context_length": true}, "version": "3"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 5, 'default', '2026-11-30 20:45:14.738096+00', 'version.updated', 'ada', '01a22e34-625b-71af-bb31-b0087ba52911', NULL, '{"size": 0, "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "details": {"note": {"quantisation": "mine"}, "architecture": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "quantization": ["Q4"], "context_length": true}}', '{"size": 4, "digest": "3d1fc5744822c187efc49fe940264450bb565130c386887f6cdc45a2d21d5b38", "details": {"architecture": 7, "quantisation": "gptq", "quantization": "awq", "context_length": -1}}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 7, 'default', '2026-11-30 20:45:14.801965+00', 'parent.set', 'ada', '01a22e34-625b-71af-bb31-b0087ba52911', NULL, '{"relation": "merged", "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}', '{"relation": "quantized", "version_id": "01a22e34-6171-7a34-b600-5767943a5b9a"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 11, 'default', '2026-11-30 20:45:14.889331+00', 'config.created', 'ada', '01a22e34-6245-77c8-9c19-5a1261dd30d8', NULL, '{}', '{"name": "own", "config": {"quantisation": "mine"}, "is_default": false, "system_config": {}}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6317-7d48-88e7-26c3303ee7f7', 2, 'default', '2026-11-30 20:45:14.909435+00', 'version.created', 'ada', '01a22e34-631d-774c-b89b-ee1ac6828ae7', NULL, '{}', '{"size": 5, "digest": "f2dca7f9268b45bbb162e19aadc9841b10847c6386fccd1aff5a22609721f2e2", "number": 1, "status": "ready", "details": {"quantization": "Q8_0"}, "version": "1"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6349-762d-a97e-8eee87ee3562', 1, 'équipe', '2026-11-30 20:45:14.953361+00', 'model.created', NULL, NULL, NULL, '{}', '{"name": "Café-日本語", "tags": {"quantisation": "a tag of theirs"}, "author": "Søren Ørsted", "license": "mit", "description": "Ein schöner Satz über Größe; 漢字と仮名。"}');
INSERT INTO public.kamiwaza_model_event VALUES ('01a22e34-6359-7a51-aa12-0a8111e71eab', 2, 'default', '2026-12-01 04:19:03.884326+00', 'version.created', 'ada', '01a22fd3-de52-7209-92a6-b51122a8abea', NULL, '{}', '{"size": 7, "digest": "6b18135129b5e3f63e1a9551f08d27f51c59ac7e5a5ebf244c3fd48f11c34996", "number": 1, "source": "https://example.org/w", "status": "ready", "version": "1", "attributes": {"note": "x"}}');

INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-6171-7a34-b600-5767943a5b9a', 'model.safetensors', 'default', 2471645608, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'safetensors', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-6171-7a34-b600-5767943a5b9a', 'config.json', 'default', 877, 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', NULL, NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-6245-77c8-9c19-5a1261dd30d8', 'model-Q4_K_M.gguf', 'default', 807694464, 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', 'gguf', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-625b-71af-bb31-b0087ba52911', 'odd.bin', 'default', 4, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', NULL, NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-631d-774c-b89b-ee1ac6828ae7', 'gone.bin', 'default', 5, 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', NULL, NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22e34-634d-76c2-9f29-d9a02c37289f', 'modèle.gguf', 'équipe', 96, 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'gguf', NULL);
INSERT INTO public.kamiwaza_model_file VALUES ('01a22fd3-de52-7209-92a6-b51122a8abea', 'w.safetensors', 'default', 7, 'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', NULL, NULL);

INSERT INTO public.kamiwaza_model_lineage VALUES ('01a22e34-6245-77c8-9c19-5a1261dd30d8', '01a22e34-6171-7a34-b600-5767943a5b9a', 'default', 'quantized');
INSERT INTO public.kamiwaza_model_lineage VALUES ('01a22e34-625b-71af-bb31-b0087ba52911', '01a22e34-6171-7a34-b600-5767943a5b9a', 'default', 'quantized');

INSERT INTO public.kamiwaza_model_tag VALUES ('01a22e34-6144-76f2-9e52-629bb7e5c814', 'lang', 'default', 'en', 'en');
INSERT INTO public.kamiwaza_model_tag VALUES ('01a22e34-6349-762d-a97e-8eee87ee3562', 'quantisation', 'équipe', 'a tag of theirs', 'a tag of theirs');

INSERT INTO public.kamiwaza_model_version VALUES ('01a22e34-634d-76c2-9f29-d9a02c37289f', 'équipe', '01a22e34-6349-762d-a97e-8eee87ee3562', 1, '1', NULL, 'd0bde7b6f00ba736096f67eb39fb05a918b60c8f6a7439164f252d4d381636e3', 96, 'ready', '{"note": "größer"}', '2026-11-30 20:45:14.957405+00', '2026-11-30 20:45:14.957405+00', 'gguf', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', 1);
INSERT INTO public.kamiwaza_model_version VALUES ('01a22e34-6171-7a34-b600-5767943a5b9a', 'default', '01a22e34-6144-76f2-9e52-629bb7e5c814', 1, 'v1', '4e20de362430cd3b72f300e6b0f18e50e7166e08', 'b6707b57bd21ff1e820b44cf3a3de6f73b17cbfdb1653cf438435082ac8c5b6a', 2471646485, 'ready', '{"format": "safetensors", "parameters": {"BF16": 1235814400}, "architecture": "LlamaForCausalLM", "context_length": 131072}', '2026-11-30 20:45:14.481616+00', '2026-11-30 20:45:14.481616+00', 'safetensors', 1235814400, NULL, NULL, NULL, NULL, 'LlamaForCausalLM', NULL, 131072, '{}', 1);
INSERT INTO public.kamiwaza_model_version VALUES ('01a22e34-6245-77c8-9c19-5a1261dd30d8', 'default', '01a22e34-6144-76f2-9e52-629bb7e5c814', 2, '2', NULL, '46e70c7ae388764bc1d868e9c25376212214a0719aba081283f5dcdb33097990', 807694464, 'ready', '{"format": "gguf", "parameters": {"Q4_K": 1235814400}, "architecture": "llama", "quantization": "Q4_K", "context_length": 131072}', '2026-11-30 20:45:14.693461+00', '2026-11-30 20:45:14.693461+00', 'gguf', 1235814400, NULL, NULL, NULL, NULL, 'llama', 'Q4_K', 131072, '{}', 1);
INSERT INTO public.kamiwaza_model_version VALUES ('01a22e34-625b-71af-bb31-b0087ba52911', 'default', '01a22e34-6144-76f2-9e52-629bb7e5c814', 3, '3', NULL, '3d1fc5744822c187efc49fe940264450bb565130c386887f6cdc45a2d21d5b38', 4, 'draft', '{"architecture": 7, "quantisation": "gptq", "quantization": "awq", "context_length": -1}', '2026-11-30 20:45:14.715084+00', '2026-11-30 20:45:14.738096+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'awq', NULL, '{}', 1);
INSERT INTO public.kamiwaza_model_version VALUES ('01a22e34-631d-774c-b89b-ee1ac6828ae7', 'default', '01a22e34-6317-7d48-88e7-26c3303ee7f7', 1, '1', NULL, 'f2dca7f9268b45bbb162e19aadc9841b10847c6386fccd1aff5a22609721f2e2', 5, 'ready', '{"quantization": "Q8_0"}', '2026-11-30 20:45:14.909435+00', '2026-11-30 20:45:14.909435+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Q8_0', NULL, '{}', 1);
INSERT INTO public.kamiwaza_model_version VALUES ('01a22fd3-de52-7209-92a6-b51122a8abea', 'default', '01a22e34-6359-7a51-aa12-0a8111e71eab', 1, '1', NULL, '6b18135129b5e3f63e1a9551f08d27f51c59ac7e5a5ebf244c3fd48f11c34996', 7, 'ready', '{}', '2026-12-01 04:19:03.884326+00', '2026-12-01 04:19:03.884326+00', NULL, NULL, 'https://example.org/w', NULL, NULL, NULL, NULL, NULL, NULL, '{"note": "x"}', 1);

INSERT INTO public.kamiwaza_model_version_tag VALUES ('01a22e34-6171-7a34-b600-5767943a5b9a', 'stage', 'default', 'raw', 'raw');

SELECT pg_catalog.setval('public.kamiwaza_model_document_id_seq', 4, true);

ALTER TABLE ONLY public.kamiwaza_alembic_version
    ADD CONSTRAINT kamiwaza_alembic_version_pkey PRIMARY KEY (version_num);

ALTER TABLE ONLY public.kamiwaza_model
    ADD CONSTRAINT pk_kamiwaza_model PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model_alias
    ADD CONSTRAINT pk_kamiwaza_model_alias PRIMARY KEY (model_id, alias);

ALTER TABLE ONLY public.kamiwaza_model_config
    ADD CONSTRAINT pk_kamiwaza_model_config PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model_document
    ADD CONSTRAINT pk_kamiwaza_model_document PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model_event
    ADD CONSTRAINT pk_kamiwaza_model_event PRIMARY KEY (model_id, sequence);

ALTER TABLE ONLY public.kamiwaza_model_file
    ADD CONSTRAINT pk_kamiwaza_model_file PRIMARY KEY (version_id, path);

ALTER TABLE ONLY public.kamiwaza_model_lineage
    ADD CONSTRAINT pk_kamiwaza_model_lineage PRIMARY KEY (version_id, parent_id);

ALTER TABLE ONLY public.kamiwaza_model_tag
    ADD CONSTRAINT pk_kamiwaza_model_tag PRIMARY KEY (model_id, key);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT pk_kamiwaza_model_version PRIMARY KEY (id);

ALTER TABLE ONLY public.kamiwaza_model_version_tag
    ADD CONSTRAINT pk_kamiwaza_model_version_tag PRIMARY KEY (version_id, key);

ALTER TABLE ONLY public.kamiwaza_model_document
    ADD CONSTRAINT uq_kamiwaza_model_document_model_id UNIQUE (model_id);

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

CREATE INDEX ix_kamiwaza_model_alias_version_id ON public.kamiwaza_model_alias USING btree (version_id);

CREATE INDEX ix_kamiwaza_model_config_model_id ON public.kamiwaza_model_config USING btree (model_id);

CREATE INDEX ix_kamiwaza_model_document_words ON public.kamiwaza_model_document USING gin (words) WITH (gin_pending_list_limit='1024');

CREATE INDEX ix_kamiwaza_model_event_model_id_alias_sequence ON public.kamiwaza_model_event USING btree (model_id, alias, sequence) WHERE (alias IS NOT NULL);

CREATE INDEX ix_kamiwaza_model_event_namespace_at_model_id_sequence ON public.kamiwaza_model_event USING btree (namespace, at, model_id, sequence);

CREATE INDEX ix_kamiwaza_model_file_sha256 ON public.kamiwaza_model_file USING btree (sha256);

CREATE INDEX ix_kamiwaza_model_lineage_parent_id ON public.kamiwaza_model_lineage USING btree (parent_id);

CREATE INDEX ix_kamiwaza_model_namespace_author_id ON public.kamiwaza_model USING btree (namespace, author, id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_kamiwaza_model_namespace_created_at_id ON public.kamiwaza_model USING btree (namespace, created_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_kamiwaza_model_namespace_family_id ON public.kamiwaza_model USING btree (namespace, family, id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_kamiwaza_model_namespace_task_id ON public.kamiwaza_model USING btree (namespace, task, id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_kamiwaza_model_namespace_updated_at_id ON public.kamiwaza_model USING btree (namespace, updated_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX ix_kamiwaza_model_tag_value ON public.kamiwaza_model_tag USING btree (key, value_start, namespace);

CREATE INDEX ix_kamiwaza_model_version_namespace_architecture ON public.kamiwaza_model_version USING btree (namespace, architecture) WHERE (architecture IS NOT NULL);

CREATE INDEX ix_kamiwaza_model_version_namespace_context_length ON public.kamiwaza_model_version USING btree (namespace, context_length) WHERE (context_length IS NOT NULL);

CREATE INDEX ix_kamiwaza_model_version_namespace_created_at ON public.kamiwaza_model_version USING btree (namespace, created_at);

CREATE UNIQUE INDEX ix_kamiwaza_model_version_namespace_id_model_id ON public.kamiwaza_model_version USING btree (namespace, id, model_id);

CREATE INDEX ix_kamiwaza_model_version_namespace_model_id_digest ON public.kamiwaza_model_version USING btree (namespace, model_id, digest);

CREATE INDEX ix_kamiwaza_model_version_namespace_quantization ON public.kamiwaza_model_version USING btree (namespace, quantization) WHERE (quantization IS NOT NULL);

CREATE INDEX ix_kamiwaza_model_version_namespace_size ON public.kamiwaza_model_version USING btree (namespace, size);

CREATE INDEX ix_kamiwaza_model_version_namespace_updated_at ON public.kamiwaza_model_version USING btree (namespace, updated_at);

CREATE INDEX ix_kamiwaza_model_version_tag_value ON public.kamiwaza_model_version_tag USING btree (key, value_start, namespace);

CREATE UNIQUE INDEX uq_kamiwaza_model_config_model_default ON public.kamiwaza_model_config USING btree (model_id) WHERE (is_default AND (version_id IS NULL));

CREATE UNIQUE INDEX uq_kamiwaza_model_config_model_name ON public.kamiwaza_model_config USING btree (model_id, name) WHERE (version_id IS NULL);

CREATE UNIQUE INDEX uq_kamiwaza_model_config_version_default ON public.kamiwaza_model_config USING btree (version_id) WHERE (is_default AND (version_id IS NOT NULL));

CREATE UNIQUE INDEX uq_kamiwaza_model_config_version_name ON public.kamiwaza_model_config USING btree (version_id, name) WHERE (version_id IS NOT NULL);

ALTER TABLE ONLY public.kamiwaza_model_alias
    ADD CONSTRAINT fk_kamiwaza_model_alias_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_alias
    ADD CONSTRAINT fk_kamiwaza_model_alias_namespace_model_id_version_id FOREIGN KEY (namespace, model_id, version_id) REFERENCES public.kamiwaza_model_version(namespace, model_id, id);

ALTER TABLE ONLY public.kamiwaza_model_config
    ADD CONSTRAINT fk_kamiwaza_model_config_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_config
    ADD CONSTRAINT fk_kamiwaza_model_config_namespace_model_id_version_id FOREIGN KEY (namespace, model_id, version_id) REFERENCES public.kamiwaza_model_version(namespace, model_id, id);

ALTER TABLE ONLY public.kamiwaza_model_document
    ADD CONSTRAINT fk_kamiwaza_model_document_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_file
    ADD CONSTRAINT fk_kamiwaza_model_file_namespace_version_id FOREIGN KEY (namespace, version_id) REFERENCES public.kamiwaza_model_version(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_lineage
    ADD CONSTRAINT fk_kamiwaza_model_lineage_namespace_parent_id FOREIGN KEY (namespace, parent_id) REFERENCES public.kamiwaza_model_version(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_lineage
    ADD CONSTRAINT fk_kamiwaza_model_lineage_namespace_version_id FOREIGN KEY (namespace, version_id) REFERENCES public.kamiwaza_model_version(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_tag
    ADD CONSTRAINT fk_kamiwaza_model_tag_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_version
    ADD CONSTRAINT fk_kamiwaza_model_version_namespace_model_id FOREIGN KEY (namespace, model_id) REFERENCES public.kamiwaza_model(namespace, id);

ALTER TABLE ONLY public.kamiwaza_model_version_tag
    ADD CONSTRAINT fk_kamiwaza_model_version_tag_namespace_version_id FOREIGN KEY (namespace, version_id) REFERENCES public.kamiwaza_model_version(namespace, id);
