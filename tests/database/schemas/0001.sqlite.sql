BEGIN TRANSACTION;
CREATE TABLE kamiwaza_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "kamiwaza_alembic_version" VALUES('0001');
CREATE TABLE kamiwaza_model (
	id CHAR(32) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	family VARCHAR(255), 
	task VARCHAR(255), 
	author VARCHAR(255), 
	hub VARCHAR(255), 
	source_repository VARCHAR(2048), 
	description TEXT, 
	license VARCHAR(255), 
	model_card TEXT, 
	private BOOLEAN NOT NULL, 
	revision INTEGER NOT NULL, 
	last_number INTEGER NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	updated_at VARCHAR(27) NOT NULL, 
	deleted_at VARCHAR(27), 
	CONSTRAINT pk_kamiwaza_model PRIMARY KEY (id), 
	CONSTRAINT uq_kamiwaza_model_namespace_name UNIQUE (namespace, name), 
	CONSTRAINT uq_kamiwaza_model_namespace_id UNIQUE (namespace, id)
);
INSERT INTO "kamiwaza_model" VALUES('01a20f9119b7755991fc36ed52978a02','default','sentence-transformers/all-MiniLM-L6-v2','bert','feature-extraction','sentence-transformers','huggingface','sentence-transformers/all-MiniLM-L6-v2','Maps sentences & paragraphs to a 384 dimensional dense vector space.','apache-2.0','# all-MiniLM-L6-v2

It''s for "semantic search"; 100% free.
',0,1,5,'2026-11-24T21:58:17.271212Z','2026-11-24T21:58:17.271212Z',NULL);
INSERT INTO "kamiwaza_model" VALUES('01a20f9119c5716c9d07d1a4796a5d57','default','gone',NULL,NULL,'Nobody',NULL,NULL,NULL,NULL,NULL,0,2,1,'2026-11-24T21:58:17.285085Z','2026-11-24T21:58:17.285435Z','2026-11-24T21:58:17.285435Z');
INSERT INTO "kamiwaza_model" VALUES('01a20f9119c673a4b8841f1c5b264c44','default','-',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1,0,'2026-11-24T21:58:17.286223Z','2026-11-24T21:58:17.286223Z',NULL);
INSERT INTO "kamiwaza_model" VALUES('01a20f9119c675b5b9c64339746eb7c5','équipe','Café-日本語',NULL,NULL,'Søren Ørsted',NULL,NULL,'Ein schöner Satz über Größe; 漢字と仮名。','mit',NULL,0,2,1,'2026-11-24T21:58:17.286353Z','2026-11-24T21:58:17.286821Z',NULL);
CREATE TABLE kamiwaza_model_file (
	version_id CHAR(32) NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	format VARCHAR(64), 
	CONSTRAINT pk_kamiwaza_model_file PRIMARY KEY (version_id, path), 
	CONSTRAINT fk_kamiwaza_model_file_namespace_version_id FOREIGN KEY(namespace, version_id) REFERENCES kamiwaza_model_version (namespace, id)
);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119ba7564867d18744a2cb0d4','model.safetensors','default',90,'000000000000000000000000000000000000000000000000000000000000005a','safetensors');
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119ba7564867d18744a2cb0d4','config.json','default',7,'0000000000000000000000000000000000000000000000000000000000000007',NULL);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c37964bb6e389a1b96b3cf','onnx/model.onnx','default',91,'000000000000000000000000000000000000000000000000000000000000005b','onnx');
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c37964bb6e389a1b96b3cf','onnx/q8.onnx','default',23,'0000000000000000000000000000000000000000000000000000000000000017','onnx');
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c37964bb6e389a1b96b3cf','README.md','default',5,'0000000000000000000000000000000000000000000000000000000000000005',NULL);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c471079dcb3dcf3df235fb','model.onnx','default',91,'000000000000000000000000000000000000000000000000000000000000005b','onnx');
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c471079dcb3dcf3df235fb','model.gguf','default',92,'000000000000000000000000000000000000000000000000000000000000005c','gguf');
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c47677b1f76a8adf92fe29','weights.bin','default',93,'000000000000000000000000000000000000000000000000000000000000005d',NULL);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c47da3901617993eb2e86d','weights.bin','default',94,'000000000000000000000000000000000000000000000000000000000000005e',NULL);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c573e68d2e2d8d12dc46ca','gone.bin','default',95,'000000000000000000000000000000000000000000000000000000000000005f',NULL);
INSERT INTO "kamiwaza_model_file" VALUES('01a20f9119c6791aa0f0e550aef881cd','modèle.gguf','équipe',96,'0000000000000000000000000000000000000000000000000000000000000060','gguf');
CREATE TABLE kamiwaza_model_version (
	id CHAR(32) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	model_id CHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	version VARCHAR(255) NOT NULL, 
	source_revision VARCHAR(255), 
	digest VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	details JSON NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	updated_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_version PRIMARY KEY (id), 
	CONSTRAINT fk_kamiwaza_model_version_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_number UNIQUE (namespace, model_id, number), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_version UNIQUE (namespace, model_id, version), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_id UNIQUE (namespace, id), 
	CONSTRAINT ck_kamiwaza_model_version_status CHECK (status IN ('draft', 'ready', 'archived', 'failed'))
);
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119ba7564867d18744a2cb0d4','default','01a20f9119b7755991fc36ed52978a02',1,'v1','8b3219a9','a1f103e7865bb9d91bc391d20d392fa0ae393180a69f88258daf620bb8e1dbcc',97,'ready','{"format": "safetensors", "parameters": {"F32": 10, "I64": 512}, "architecture": "BertModel"}','2026-11-24T21:58:17.274333Z','2026-11-24T21:58:17.274333Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c37964bb6e389a1b96b3cf','default','01a20f9119b7755991fc36ed52978a02',2,'2',NULL,'70fc6e7a1273095596a584b5736da85703000ed116dc1f31142745d1614fda74',119,'ready','{"parameters": 22713216}','2026-11-24T21:58:17.283583Z','2026-11-24T21:58:17.283583Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c471079dcb3dcf3df235fb','default','01a20f9119b7755991fc36ed52978a02',3,'3',NULL,'632276cf78a79ca59939800a34634687579375f84a2e8db0a215e462a082bc5b',183,'ready','{"format": "", "parameters": {"F32": "many"}}','2026-11-24T21:58:17.284062Z','2026-11-24T21:58:17.284062Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c47677b1f76a8adf92fe29','default','01a20f9119b7755991fc36ed52978a02',4,'4',NULL,'d79c58b9e3f66eb562fd5e18b863c55d19543483fe940155be1340801c459cdd',93,'ready','{"format": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "parameters": true}','2026-11-24T21:58:17.284403Z','2026-11-24T21:58:17.284403Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c47da3901617993eb2e86d','default','01a20f9119b7755991fc36ed52978a02',5,'5',NULL,'665c501f311bb070ab6e0c20227382f054f5d9d8366446dcdb28cd7abff7cb76',94,'ready','{"parameters": {"F32": 9223372036854775807, "I8": 1}}','2026-11-24T21:58:17.284851Z','2026-11-24T21:58:17.284851Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c573e68d2e2d8d12dc46ca','default','01a20f9119c5716c9d07d1a4796a5d57',1,'1',NULL,'7d4c1b0206e914641c68e04cb722a24efb7c4c1c95624ddfd50cf42fcd838167',95,'ready','{"format": "bin", "parameters": 0}','2026-11-24T21:58:17.285242Z','2026-11-24T21:58:17.285242Z');
INSERT INTO "kamiwaza_model_version" VALUES('01a20f9119c6791aa0f0e550aef881cd','équipe','01a20f9119c675b5b9c64339746eb7c5',1,'1',NULL,'78677749d28e42fc677c1835bbc71004391eb70c4fd87892c4cf4fa003cb0e9b',96,'ready','{"note": "gr\u00f6\u00dfer", "parameters": {}}','2026-11-24T21:58:17.286568Z','2026-11-24T21:58:17.286568Z');
CREATE INDEX ix_kamiwaza_model_version_namespace_model_id_digest ON kamiwaza_model_version (namespace, model_id, digest);
CREATE INDEX ix_kamiwaza_model_file_sha256 ON kamiwaza_model_file (sha256);
COMMIT;
