"""Presidio's analyzer behind its own REST contract, `POST /analyze`.

The wheel has the engine, the request and the results, but not the web server of Presidio's image: that is all that is written
here. No model of spaCy is loaded, which the registry of packages does not have: what finds something are Presidio's own
recognisers, of patterns with check digits, and one of names by a list.
"""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import presidio_analyzer
import tldextract.tldextract
from presidio_analyzer import AnalyzerEngine, PatternRecognizer
from presidio_analyzer.analyzer_request import AnalyzerRequest
from presidio_analyzer.nlp_engine import NlpEngineProvider

# The list of domains that ships: a newer one would be fetched from elsewhere.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

CONFIG = pathlib.Path(presidio_analyzer.__file__).parent / "conf" / "no_op.yaml"


def engine():
    nlp = NlpEngineProvider(conf_file=str(CONFIG)).create_engine()
    engine = AnalyzerEngine(nlp_engine=nlp, supported_languages=["en"])
    names = PatternRecognizer(supported_entity="PERSON", deny_list=["Jané Roe", "Tom Doe"])
    engine.registry.add_recognizer(names)
    return engine


class Analyzer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = engine()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/analyze":
            return self.answer(404, {"error": "Not Found"})
        try:
            request = AnalyzerRequest(body)
            if not request.text or not request.language:
                raise ValueError("text or language is missing")
            found = self.engine.analyze(
                text=request.text,
                language=request.language,
                entities=request.entities,
                correlation_id=request.correlation_id,
                score_threshold=request.score_threshold,
                return_decision_process=request.return_decision_process,
                ad_hoc_recognizers=request.ad_hoc_recognizers,
                context=request.context,
                allow_list=request.allow_list,
            )
        except ValueError as error:
            return self.answer(400, {"error": str(error)})
        self.answer(200, [one.to_dict() for one in found])

    def answer(self, status, value):
        text = json.dumps(value, sort_keys=True).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Analyzer)
    print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
