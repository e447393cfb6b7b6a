# Two commands on a fresh machine with Python >= 3.11; each does all the set-up it needs.
#   make reproduce   the article's comparison, into results/article/
#   make test        the tests
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: reproduce test test-slow speed speed-methods speed-harness speed-population speed-training speed-tuning quality tuning-quality agreement diagnosis reliability conformance drop-in comparisons docs check setup clean

reproduce: $(READY)
	$(BIN)/experiments reproduce

# Two processes with a thread each.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m slow

speed: $(READY)
	$(BIN)/experiments speed

speed-methods: $(READY)
	$(BIN)/experiments speed methods

speed-harness: $(READY)
	$(BIN)/experiments speed harness

speed-population: $(READY)
	$(BIN)/experiments speed population

speed-training: $(READY)
	$(BIN)/experiments speed training

# Many trainings at once, dropping the worse ones, our sampler in Optuna's studies.
speed-tuning: $(READY)
	$(BIN)/experiments speed trainings
	$(BIN)/experiments speed halving
	$(BIN)/experiments speed sampler

# Six estimators tuned by five methods, 20 seeds; stopped, the same command goes on.
tuning-quality: $(READY)
	$(BIN)/experiments tuning-quality --workers 2

diagnosis: $(READY)
	$(BIN)/experiments diagnosis

reliability: $(READY)
	$(BIN)/experiments reliability

agreement: $(READY)
	$(BIN)/experiments agreement

drop-in: $(READY)
	$(BIN)/experiments drop-in

# Every law of the core for every method, all cases: the table in results/conformance/.
conformance: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.conformance -n 2

# The reference comparisons, about 70 minutes on two cores; stopped, the same command goes on.
ALL := start,adam,cma,dual_annealing,pso,pyswarm,random,slsqp
SWARM := pso:swarmsize=40:omega=0.73:phip=1.5:phig=1.5:maxiter=10000
COMPARE := $(BIN)/experiments compare --workers 2
RESULTS := results/comparisons

SMALL := start,cma,adam:lr=0.1,cma+adam:lr=0.1,cma+l-bfgs-b,cma:refine={'lr':0.1},cma:refine={'lr':0.1,'steps':1},cma:refine={'lr':0.1,'inherit':False}
LARGE := start,adam:lr=0.01,sep-cma:sigma0=0.1,sep-cma:sigma0=0.1+adam:lr=0.01,sep-cma:sigma0=0.1:refine={'lr':0.01},sep-cma:sigma0=0.1:refine={'lr':0.01,'inherit':False}

# Learning rates and first steps: as results/comparisons/digits-training/rates.py finds them.
TRAIN := $(COMPARE) --seeds 3 --budget 3000 --gradients --by passes --validate-every 20 --patience 40
RULES := start,sgd:lr=0.3:momentum=0.9,asgd:lr=1,adagrad:lr=0.1,adadelta:lr=10,rmsprop:lr=0.01,rprop:lr=0.001,adam:lr=0.003,adamw:lr=0.003,adamax:lr=0.01,nadam:lr=0.01,radam:lr=0.01,adafactor:lr=0.1,muon:lr=0.01,lars:lr=1,lamb:lr=0.003,ftrl:lr=0.03,shampoo:lr=3
STRATEGIES := sep-cma:sigma0=0.3,vkd-cma:sigma0=0.3,sep-cma:sigma0=0.3+adam:lr=0.003
WHOLE := start,sgd:lr=0.03:momentum=0.9,rprop:lr=0.001,adam:lr=0.01,muon:lr=0.01,lbfgs,lbfgs:line_search_fn=strong_wolfe,l-bfgs-b,cg,sep-cma:sigma0=0.3,vkd-cma:sigma0=0.3,$(SWARM),random

comparisons: $(READY)
	$(COMPARE) article --methods $(ALL) --seeds 50 --budget 10000 --out $(RESULTS)/article
	$(COMPARE) article --methods start,adam:lr=1,cma,dual_annealing,pso,random,slsqp --seeds 50 \
	  --budget 10000 --gradients --by passes --out $(RESULTS)/article-gradients
	$(COMPARE) bbob:n=2,5,10,20:i=1-5 --methods $(ALL) --seeds 1 --budget 1000n --out $(RESULTS)/bbob
	$(COMPARE) digits-mlp --methods start,adam:lr=0.01,cma:CMA_diagonal=True,$(SWARM),random --seeds 10 \
	  --budget 20000 --gradients --by passes --out $(RESULTS)/digits-mlp
	$(COMPARE) quantized --methods start,cma:CMA_diagonal=True:popsize=100:minstd=0.1,$(SWARM),random,adam \
	  --seeds 10 --budget 50000 --gradients --by passes --out $(RESULTS)/quantized
	$(COMPARE) finetune --methods start,cma:CMA_diagonal=True:sigma0=0.1:popsize=50,$(SWARM),random \
	  --seeds 10 --budget 20000 --out $(RESULTS)/finetune
	$(COMPARE) article bbob:f=1,8,10,15,20,21:n=10:i=1 --methods "$(SMALL)" --seeds 5 --budget 5000 \
	  --gradients --by passes --out $(RESULTS)/hybrids
	$(COMPARE) digits-linear digits-mlp digits-mlp:batch=32 --methods "$(LARGE)" --seeds 5 \
	  --budget 6000 --gradients --by passes --out $(RESULTS)/hybrids-digits
	$(TRAIN) digits-training --methods "$(RULES),$(STRATEGIES),random" --out $(RESULTS)/digits-training
	$(TRAIN) digits-training:batch=0 --methods "$(WHOLE)" --out $(RESULTS)/digits-training-full

# How well every method searches, about two hours on two cores; stopped, the same command goes on.
LOCAL := slsqp,l-bfgs-b,bfgs,cg,tnc,newton-cg,dogleg,trust-ncg,trust-krylov,trust-exact,nelder-mead,powell,bobyqa,sbplx
GLOBAL := cma,sep-cma,vkd-cma,ipop-cma,bipop-cma,differential_evolution,dual_annealing,basinhopping,direct,pso,pyswarm
CHAINS := cma+l-bfgs-b,slsqp:restarts=inf:share=0.1+ipop-cma
DEAR := cobyqa,cobyla,trust-constr,shgo
EVERY := $(LOCAL),$(GLOBAL),$(CHAINS),adam,random,sobol,lhs,grid
INSTANCES ?= 1-2

quality: $(READY)
	$(COMPARE) bbob:n=2,5,10,20:i=$(INSTANCES) --methods $(EVERY) --seeds 1 --budget 1000n --out results/quality/run
	$(COMPARE) bbob:n=2,5:i=$(INSTANCES) --methods $(DEAR) --seeds 1 --budget 1000n --out results/quality/run
	$(COMPARE) bbob:n=2:i=$(INSTANCES) --methods lq-cma --seeds 1 --budget 1000n --out results/quality/run
	$(BIN)/experiments quality results/quality/run --out results/quality

# The documentation, into site/: open site/index.html.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(READY)

$(READY): pyproject.toml requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Python >= 3.11 is needed; this is ' + sys.version.split()[0] + '. Try: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(READY)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
