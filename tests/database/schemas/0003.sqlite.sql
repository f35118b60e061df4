BEGIN TRANSACTION;
CREATE TABLE kamiwaza_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO kamiwaza_alembic_version VALUES('0003');
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
	deleted_at VARCHAR(27), last_event INTEGER DEFAULT '0' NOT NULL, last_event_at VARCHAR(27), attributes JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_kamiwaza_model PRIMARY KEY (id), 
	CONSTRAINT uq_kamiwaza_model_namespace_name UNIQUE (namespace, name), 
	CONSTRAINT uq_kamiwaza_model_namespace_id UNIQUE (namespace, id)
);
INSERT INTO kamiwaza_model VALUES('01a22e33a51c75a7b908f1ba57e1f19d','default','meta-llama/Llama-3.2-1B','llama','text-generation','meta-llama','huggingface','meta-llama/Llama-3.2-1B','Small and multilingual.','llama3.2',replace('---\nlicense: llama3.2\n---\n# Llama 3.2\n\nIt''s distilled; Grösse: 1.23B parameters.\n','\n',char(10)),0,1,3,'2026-11-30T20:44:26.268335Z','2026-11-30T20:44:26.268335Z',NULL,11,'2026-11-30T20:44:26.475106Z','{}');
INSERT INTO kamiwaza_model VALUES('01a22e33a5ef761e91299046748c8edb','default','gone',NULL,NULL,'Nobody',NULL,NULL,NULL,NULL,'Vanished.',0,2,1,'2026-11-30T20:44:26.479369Z','2026-11-30T20:44:26.483028Z','2026-11-30T20:44:26.483028Z',3,'2026-11-30T20:44:26.483028Z','{}');
INSERT INTO kamiwaza_model VALUES('01a22e33a5fa730e848053a24a5e4859','équipe','Café-日本語',NULL,NULL,'Søren Ørsted',NULL,NULL,'Ein schöner Satz über Größe; 漢字と仮名。','mit',NULL,0,1,1,'2026-11-30T20:44:26.490178Z','2026-11-30T20:44:26.490178Z',NULL,2,'2026-11-30T20:44:26.491504Z','{}');
INSERT INTO kamiwaza_model VALUES('01a22e33a5fc79388411e985751441ae','default','-',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1,1,'2026-11-30T20:44:26.492562Z','2026-11-30T20:44:26.492562Z',NULL,2,'2026-12-01T04:19:02.999046Z','{}');
CREATE TABLE kamiwaza_model_alias (
	model_id CHAR(32) NOT NULL, 
	alias VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	version_id CHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	updated_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_alias PRIMARY KEY (model_id, alias), 
	CONSTRAINT fk_kamiwaza_model_alias_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id), 
	CONSTRAINT fk_kamiwaza_model_alias_namespace_model_id_version_id FOREIGN KEY(namespace, model_id, version_id) REFERENCES kamiwaza_model_version (namespace, model_id, id)
);
INSERT INTO kamiwaza_model_alias VALUES('01a22e33a51c75a7b908f1ba57e1f19d','production','default','01a22e33a5bb7839918f042414ebe17c',2,'2026-11-30T20:44:26.460280Z');
CREATE TABLE kamiwaza_model_config (
	id CHAR(32) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	model_id CHAR(32) NOT NULL, 
	version_id CHAR(32), 
	name VARCHAR(255) NOT NULL, 
	is_default BOOLEAN NOT NULL, 
	config JSON NOT NULL, 
	system_config JSON NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	updated_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_config PRIMARY KEY (id), 
	CONSTRAINT fk_kamiwaza_model_config_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id), 
	CONSTRAINT fk_kamiwaza_model_config_namespace_model_id_version_id FOREIGN KEY(namespace, model_id, version_id) REFERENCES kamiwaza_model_version (namespace, model_id, id)
);
INSERT INTO kamiwaza_model_config VALUES('01a22e33a5e5773f879e58ca8d2c40e3','default','01a22e33a51c75a7b908f1ba57e1f19d',NULL,'usual',1,'{"temperature": 0.2}','{}','2026-11-30T20:44:26.463564Z','2026-11-30T20:44:26.463564Z');
INSERT INTO kamiwaza_model_config VALUES('01a22e33a5ec7b6a82067715e40d0708','default','01a22e33a51c75a7b908f1ba57e1f19d','01a22e33a5bb7839918f042414ebe17c','own',0,'{"quantisation": "mine"}','{}','2026-11-30T20:44:26.475106Z','2026-11-30T20:44:26.475106Z');
CREATE TABLE kamiwaza_model_document (
	id INTEGER NOT NULL, 
	model_id CHAR(32) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	words TEXT NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_document PRIMARY KEY (id), 
	CONSTRAINT fk_kamiwaza_model_document_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id), 
	CONSTRAINT uq_kamiwaza_model_document_model_id UNIQUE (model_id)
);
INSERT INTO kamiwaza_model_document VALUES(1,'01a22e33a51c75a7b908f1ba57e1f19d','default','c522b539meta c522b539llama c522b5393 c522b5392 c522b5391b c522b539lang c522b539en c522b539small c522b539and c522b539multilingual c522b539license c522b539llama3 c522b539it c522b539s c522b539distilled c522b539grosse c522b5391 c522b53923b c522b539parameters');
INSERT INTO kamiwaza_model_document VALUES(2,'01a22e33a5ef761e91299046748c8edb','default','xc522b539gone xc522b539nobody xc522b539vanished');
INSERT INTO kamiwaza_model_document VALUES(3,'01a22e33a5fa730e848053a24a5e4859','équipe','7c66cf2fcafe 7c66cf2f日本語 7c66cf2fsøren 7c66cf2førsted 7c66cf2fquantisation 7c66cf2fa 7c66cf2ftag 7c66cf2fof 7c66cf2ftheirs 7c66cf2fein 7c66cf2fschoner 7c66cf2fsatz 7c66cf2fuber 7c66cf2fgrosse 7c66cf2f漢字と仮名');
INSERT INTO kamiwaza_model_document VALUES(4,'01a22e33a5fc79388411e985751441ae','default','');
CREATE TABLE kamiwaza_model_event (
	model_id CHAR(32) NOT NULL, 
	sequence INTEGER NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	actor VARCHAR(255), 
	version_id CHAR(32), 
	alias VARCHAR(255), 
	"before" JSON NOT NULL, 
	"after" JSON NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_event PRIMARY KEY (model_id, sequence)
);
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',1,'default','2026-11-30T20:44:26.268335Z','model.created','ada',NULL,NULL,'{}','{"name": "meta-llama/Llama-3.2-1B", "family": "llama", "task": "text-generation", "author": "meta-llama", "hub": "huggingface", "source_repository": "meta-llama/Llama-3.2-1B", "description": "Small and multilingual.", "license": "llama3.2", "model_card": "---\nlicense: llama3.2\n---\n# Llama 3.2\n\nIt''s distilled; Gr\u00f6sse: 1.23B parameters.\n", "tags": {"lang": "en"}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',2,'default','2026-11-30T20:44:26.313674Z','version.created','ada','01a22e33a5497bc99a9a9ecc2a0f5674',NULL,'{}','{"number": 1, "version": "v1", "status": "ready", "digest": "b6707b57bd21ff1e820b44cf3a3de6f73b17cbfdb1653cf438435082ac8c5b6a", "size": 2471646485, "source_revision": "4e20de362430cd3b72f300e6b0f18e50e7166e08", "details": {"format": "safetensors", "architecture": "LlamaForCausalLM", "parameters": {"BF16": 1235814400}, "context_length": 131072}, "tags": {"stage": "raw"}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',3,'default','2026-11-30T20:44:26.427497Z','version.created','ada','01a22e33a5bb7839918f042414ebe17c',NULL,'{}','{"number": 2, "version": "2", "status": "ready", "digest": "46e70c7ae388764bc1d868e9c25376212214a0719aba081283f5dcdb33097990", "size": 807694464, "details": {"format": "gguf", "architecture": "llama", "parameters": {"Q4_K": 1235814400}, "quantization": "Q4_K", "context_length": 131072}, "derived_from": [{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "relation": "quantized"}]}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',4,'default','2026-11-30T20:44:26.432213Z','version.created','ada','01a22e33a5c0739eb91c3d3d4ce57c9c',NULL,'{}','{"number": 3, "version": "3", "status": "draft", "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0, "details": {"architecture": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "quantization": ["Q4"], "context_length": true, "note": {"quantisation": "mine"}}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',5,'default','2026-11-30T20:44:26.434908Z','version.updated','ada','01a22e33a5c0739eb91c3d3d4ce57c9c',NULL,'{"details": {"architecture": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "quantization": ["Q4"], "context_length": true, "note": {"quantisation": "mine"}}, "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 0}','{"details": {"architecture": 7, "quantisation": "gptq", "quantization": "awq", "context_length": -1}, "digest": "3d1fc5744822c187efc49fe940264450bb565130c386887f6cdc45a2d21d5b38", "size": 4}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',6,'default','2026-11-30T20:44:26.446604Z','parent.set','ada','01a22e33a5c0739eb91c3d3d4ce57c9c',NULL,'{}','{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "relation": "merged"}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',7,'default','2026-11-30T20:44:26.453647Z','parent.set','ada','01a22e33a5c0739eb91c3d3d4ce57c9c',NULL,'{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "relation": "merged"}','{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "relation": "quantized"}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',8,'default','2026-11-30T20:44:26.455243Z','alias.set','ada','01a22e33a5497bc99a9a9ecc2a0f5674','production','{}','{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "number": 1}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',9,'default','2026-11-30T20:44:26.460280Z','alias.set','ada','01a22e33a5bb7839918f042414ebe17c','production','{"version_id": "01a22e33-a549-7bc9-9a9a-9ecc2a0f5674", "number": 1}','{"version_id": "01a22e33-a5bb-7839-918f-042414ebe17c", "number": 2}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',10,'default','2026-11-30T20:44:26.463564Z','config.created','ada',NULL,NULL,'{}','{"name": "usual", "is_default": true, "config": {"temperature": 0.2}, "system_config": {}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a51c75a7b908f1ba57e1f19d',11,'default','2026-11-30T20:44:26.475106Z','config.created','ada','01a22e33a5bb7839918f042414ebe17c',NULL,'{}','{"name": "own", "is_default": false, "config": {"quantisation": "mine"}, "system_config": {}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5ef761e91299046748c8edb',1,'default','2026-11-30T20:44:26.479369Z','model.created','ada',NULL,NULL,'{}','{"name": "gone", "author": "Nobody", "model_card": "Vanished."}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5ef761e91299046748c8edb',2,'default','2026-11-30T20:44:26.480500Z','version.created','ada','01a22e33a5f07832b3f9d13b0c1e25e2',NULL,'{}','{"number": 1, "version": "1", "status": "ready", "digest": "f2dca7f9268b45bbb162e19aadc9841b10847c6386fccd1aff5a22609721f2e2", "size": 5, "details": {"quantization": "Q8_0"}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5ef761e91299046748c8edb',3,'default','2026-11-30T20:44:26.483028Z','model.deleted','ada',NULL,NULL,'{}','{}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5fa730e848053a24a5e4859',1,'équipe','2026-11-30T20:44:26.490178Z','model.created',NULL,NULL,NULL,'{}','{"name": "Caf\u00e9-\u65e5\u672c\u8a9e", "author": "S\u00f8ren \u00d8rsted", "description": "Ein sch\u00f6ner Satz \u00fcber Gr\u00f6\u00dfe; \u6f22\u5b57\u3068\u4eee\u540d\u3002", "license": "mit", "tags": {"quantisation": "a tag of theirs"}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5fa730e848053a24a5e4859',2,'équipe','2026-11-30T20:44:26.491504Z','version.created',NULL,'01a22e33a5fb78389c65e65d9bc1f56c',NULL,'{}','{"number": 1, "version": "1", "status": "ready", "digest": "d0bde7b6f00ba736096f67eb39fb05a918b60c8f6a7439164f252d4d381636e3", "size": 96, "details": {"note": "gr\u00f6\u00dfer"}}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5fc79388411e985751441ae',1,'default','2026-11-30T20:44:26.492562Z','model.created','ada',NULL,NULL,'{}','{"name":"-"}');
INSERT INTO kamiwaza_model_event VALUES('01a22e33a5fc79388411e985751441ae',2,'default','2026-12-01T04:19:02.999046Z','version.created','ada','01a22fd3dad9794e8fc8a68567f3b1a8',NULL,'{}','{"number": 1, "version": "1", "status": "ready", "digest": "6b18135129b5e3f63e1a9551f08d27f51c59ac7e5a5ebf244c3fd48f11c34996", "size": 7, "source": "https://example.org/w", "attributes": {"note": "x"}}');
CREATE TABLE kamiwaza_model_file (
	version_id CHAR(32) NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	format VARCHAR(64), url VARCHAR(2048), 
	CONSTRAINT pk_kamiwaza_model_file PRIMARY KEY (version_id, path), 
	CONSTRAINT fk_kamiwaza_model_file_namespace_version_id FOREIGN KEY(namespace, version_id) REFERENCES kamiwaza_model_version (namespace, id)
);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5497bc99a9a9ecc2a0f5674','model.safetensors','default',2471645608,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','safetensors',NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5497bc99a9a9ecc2a0f5674','config.json','default',877,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',NULL,NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5bb7839918f042414ebe17c','model-Q4_K_M.gguf','default',807694464,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','gguf',NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5c0739eb91c3d3d4ce57c9c','odd.bin','default',4,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',NULL,NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5f07832b3f9d13b0c1e25e2','gone.bin','default',5,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',NULL,NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22e33a5fb78389c65e65d9bc1f56c','modèle.gguf','équipe',96,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','gguf',NULL);
INSERT INTO kamiwaza_model_file VALUES('01a22fd3dad9794e8fc8a68567f3b1a8','w.safetensors','default',7,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd',NULL,NULL);
CREATE TABLE kamiwaza_model_lineage (
	version_id CHAR(32) NOT NULL, 
	parent_id CHAR(32) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	relation VARCHAR(16) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_lineage PRIMARY KEY (version_id, parent_id), 
	CONSTRAINT fk_kamiwaza_model_lineage_namespace_version_id FOREIGN KEY(namespace, version_id) REFERENCES kamiwaza_model_version (namespace, id), 
	CONSTRAINT fk_kamiwaza_model_lineage_namespace_parent_id FOREIGN KEY(namespace, parent_id) REFERENCES kamiwaza_model_version (namespace, id), 
	CONSTRAINT ck_kamiwaza_model_lineage_parent CHECK (version_id <> parent_id)
);
INSERT INTO kamiwaza_model_lineage VALUES('01a22e33a5bb7839918f042414ebe17c','01a22e33a5497bc99a9a9ecc2a0f5674','default','quantized');
INSERT INTO kamiwaza_model_lineage VALUES('01a22e33a5c0739eb91c3d3d4ce57c9c','01a22e33a5497bc99a9a9ecc2a0f5674','default','quantized');
CREATE TABLE kamiwaza_model_tag (
	model_id CHAR(32) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	value_start VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_tag PRIMARY KEY (model_id, "key"), 
	CONSTRAINT fk_kamiwaza_model_tag_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id)
);
INSERT INTO kamiwaza_model_tag VALUES('01a22e33a51c75a7b908f1ba57e1f19d','lang','default','en','en');
INSERT INTO kamiwaza_model_tag VALUES('01a22e33a5fa730e848053a24a5e4859','quantisation','équipe','a tag of theirs','a tag of theirs');
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
	updated_at VARCHAR(27) NOT NULL, format VARCHAR(64), parameters BIGINT, source VARCHAR(2048), hub VARCHAR(255), source_repository VARCHAR(2048), description TEXT, architecture VARCHAR(255), quantization VARCHAR(255), context_length BIGINT, attributes JSON DEFAULT '{}' NOT NULL, revision INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_version PRIMARY KEY (id), 
	CONSTRAINT fk_kamiwaza_model_version_namespace_model_id FOREIGN KEY(namespace, model_id) REFERENCES kamiwaza_model (namespace, id), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_number UNIQUE (namespace, model_id, number), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_model_id_version UNIQUE (namespace, model_id, version), 
	CONSTRAINT uq_kamiwaza_model_version_namespace_id UNIQUE (namespace, id), 
	CONSTRAINT ck_kamiwaza_model_version_status CHECK (status IN ('draft', 'ready', 'archived', 'failed'))
);
INSERT INTO kamiwaza_model_version VALUES('01a22e33a5497bc99a9a9ecc2a0f5674','default','01a22e33a51c75a7b908f1ba57e1f19d',1,'v1','4e20de362430cd3b72f300e6b0f18e50e7166e08','b6707b57bd21ff1e820b44cf3a3de6f73b17cbfdb1653cf438435082ac8c5b6a',2471646485,'ready','{"format": "safetensors", "architecture": "LlamaForCausalLM", "parameters": {"BF16": 1235814400}, "context_length": 131072}','2026-11-30T20:44:26.313674Z','2026-11-30T20:44:26.313674Z','safetensors',1235814400,NULL,NULL,NULL,NULL,'LlamaForCausalLM',NULL,131072,'{}',1);
INSERT INTO kamiwaza_model_version VALUES('01a22e33a5bb7839918f042414ebe17c','default','01a22e33a51c75a7b908f1ba57e1f19d',2,'2',NULL,'46e70c7ae388764bc1d868e9c25376212214a0719aba081283f5dcdb33097990',807694464,'ready','{"format": "gguf", "architecture": "llama", "parameters": {"Q4_K": 1235814400}, "quantization": "Q4_K", "context_length": 131072}','2026-11-30T20:44:26.427497Z','2026-11-30T20:44:26.427497Z','gguf',1235814400,NULL,NULL,NULL,NULL,'llama','Q4_K',131072,'{}',1);
INSERT INTO kamiwaza_model_version VALUES('01a22e33a5c0739eb91c3d3d4ce57c9c','default','01a22e33a51c75a7b908f1ba57e1f19d',3,'3',NULL,'3d1fc5744822c187efc49fe940264450bb565130c386887f6cdc45a2d21d5b38',4,'draft','{"architecture": 7, "quantisation": "gptq", "quantization": "awq", "context_length": -1}','2026-11-30T20:44:26.432213Z','2026-11-30T20:44:26.434908Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'awq',NULL,'{}',1);
INSERT INTO kamiwaza_model_version VALUES('01a22e33a5f07832b3f9d13b0c1e25e2','default','01a22e33a5ef761e91299046748c8edb',1,'1',NULL,'f2dca7f9268b45bbb162e19aadc9841b10847c6386fccd1aff5a22609721f2e2',5,'ready','{"quantization": "Q8_0"}','2026-11-30T20:44:26.480500Z','2026-11-30T20:44:26.480500Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'Q8_0',NULL,'{}',1);
INSERT INTO kamiwaza_model_version VALUES('01a22e33a5fb78389c65e65d9bc1f56c','équipe','01a22e33a5fa730e848053a24a5e4859',1,'1',NULL,'d0bde7b6f00ba736096f67eb39fb05a918b60c8f6a7439164f252d4d381636e3',96,'ready','{"note": "gr\u00f6\u00dfer"}','2026-11-30T20:44:26.491504Z','2026-11-30T20:44:26.491504Z','gguf',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{}',1);
INSERT INTO kamiwaza_model_version VALUES('01a22fd3dad9794e8fc8a68567f3b1a8','default','01a22e33a5fc79388411e985751441ae',1,'1',NULL,'6b18135129b5e3f63e1a9551f08d27f51c59ac7e5a5ebf244c3fd48f11c34996',7,'ready','{}','2026-12-01T04:19:02.999046Z','2026-12-01T04:19:02.999046Z',NULL,NULL,'https://example.org/w',NULL,NULL,NULL,NULL,NULL,NULL,'{"note": "x"}',1);
CREATE TABLE kamiwaza_model_version_tag (
	version_id CHAR(32) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	value_start VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_kamiwaza_model_version_tag PRIMARY KEY (version_id, "key"), 
	CONSTRAINT fk_kamiwaza_model_version_tag_namespace_version_id FOREIGN KEY(namespace, version_id) REFERENCES kamiwaza_model_version (namespace, id)
);
INSERT INTO kamiwaza_model_version_tag VALUES('01a22e33a5497bc99a9a9ecc2a0f5674','stage','default','raw','raw');
CREATE INDEX ix_kamiwaza_model_version_namespace_model_id_digest ON kamiwaza_model_version (namespace, model_id, digest);
CREATE INDEX ix_kamiwaza_model_file_sha256 ON kamiwaza_model_file (sha256);
CREATE INDEX ix_kamiwaza_model_namespace_created_at_id ON kamiwaza_model (namespace, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_kamiwaza_model_namespace_updated_at_id ON kamiwaza_model (namespace, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_kamiwaza_model_namespace_task_id ON kamiwaza_model (namespace, task, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_kamiwaza_model_namespace_author_id ON kamiwaza_model (namespace, author, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_kamiwaza_model_namespace_family_id ON kamiwaza_model (namespace, family, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_kamiwaza_model_version_namespace_created_at ON kamiwaza_model_version (namespace, created_at);
CREATE INDEX ix_kamiwaza_model_version_namespace_updated_at ON kamiwaza_model_version (namespace, updated_at);
CREATE INDEX ix_kamiwaza_model_version_namespace_size ON kamiwaza_model_version (namespace, size);
CREATE UNIQUE INDEX ix_kamiwaza_model_version_namespace_id_model_id ON kamiwaza_model_version (namespace, id, model_id);
CREATE INDEX ix_kamiwaza_model_alias_version_id ON kamiwaza_model_alias (version_id);
CREATE INDEX ix_kamiwaza_model_tag_value ON kamiwaza_model_tag ("key", value_start, namespace);
CREATE INDEX ix_kamiwaza_model_version_tag_value ON kamiwaza_model_version_tag ("key", value_start, namespace);
CREATE INDEX ix_kamiwaza_model_config_model_id ON kamiwaza_model_config (model_id);
CREATE UNIQUE INDEX uq_kamiwaza_model_config_model_name ON kamiwaza_model_config (model_id, name) WHERE version_id IS NULL;
CREATE UNIQUE INDEX uq_kamiwaza_model_config_version_name ON kamiwaza_model_config (version_id, name) WHERE version_id IS NOT NULL;
CREATE UNIQUE INDEX uq_kamiwaza_model_config_model_default ON kamiwaza_model_config (model_id) WHERE is_default AND version_id IS NULL;
CREATE UNIQUE INDEX uq_kamiwaza_model_config_version_default ON kamiwaza_model_config (version_id) WHERE is_default AND version_id IS NOT NULL;
CREATE INDEX ix_kamiwaza_model_event_namespace_at_model_id_sequence ON kamiwaza_model_event (namespace, at, model_id, sequence);
CREATE INDEX ix_kamiwaza_model_event_model_id_alias_sequence ON kamiwaza_model_event (model_id, alias, sequence) WHERE alias IS NOT NULL;
CREATE INDEX ix_kamiwaza_model_lineage_parent_id ON kamiwaza_model_lineage (parent_id);
CREATE INDEX ix_kamiwaza_model_version_namespace_architecture ON kamiwaza_model_version (namespace, architecture) WHERE architecture IS NOT NULL;
CREATE INDEX ix_kamiwaza_model_version_namespace_quantization ON kamiwaza_model_version (namespace, quantization) WHERE quantization IS NOT NULL;
CREATE INDEX ix_kamiwaza_model_version_namespace_context_length ON kamiwaza_model_version (namespace, context_length) WHERE context_length IS NOT NULL;
CREATE VIRTUAL TABLE kamiwaza_model_search USING fts5(words, content='kamiwaza_model_document', content_rowid='id', tokenize='ascii', detail='none', columnsize=0);
INSERT INTO kamiwaza_model_search (rowid, words) SELECT id, words FROM kamiwaza_model_document;
COMMIT;
