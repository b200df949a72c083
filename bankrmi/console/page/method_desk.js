// The teller of classes: a form for each of their methods, as the console tells of them; and what their load is made of.
//
// Rule 1: what is written goes to the console as text. It alone makes values of it: numbers end at 53 bits here.
// Rule 2: every word of the class, of a caller or of an answer goes in as text, in a place that can hold a long one.

import {breakable, make, mark, say} from "./elements.js";
import {counted, listed} from "./wording.js";

const SHORT = 60;
const NONE = "None";

export class MethodDesk {
  #fields = []; #lastOf = new Map();

  /** `ask(call)` has a call made; `kinds` are the classes, each {service, name, uses, methods}. */
  constructor(ask, kinds) {
    this.ask = ask;
    this.kinds = new Map(kinds.map(kind => [kind.service, kind]));
    this.methods = new Map(kinds.flatMap(kind => kind.methods).map(method => [method.name, method]));
    this.service = make("select", {id: "service-called", onchange: () => this.#showService()},
      ...kinds.map(kind => make("option", {value: kind.service, text: kind.service})));
    this.method = make("select", {id: "method", onchange: () => this.#show()});
    this.methodOf = make("span");
    this.signature = make("code", {class: "signature"});
    this.about = make("p", {class: "note about"});
    this.raises = make("p", {class: "note"});
    this.uses = make("p", {class: "note"});
    this.inputs = make("div", {class: "arguments"});
    this.button = make("button", {type: "submit", class: "main", "aria-describedby": "teller-why"});
    this.element = make("form", {onsubmit: event => this.#submitted(event)},
      make("div", {class: "fields"}, kinds.length > 1 ? make("label", {for: "service-called"}, "Service", this.service) : "",
        make("label", {for: "method"}, this.methodOf, this.method)),
      make("p", {}, this.signature), this.about, this.raises, this.uses, this.inputs, make("div", {class: "buttons"}, this.button));
    this.#showService();
  }

  get #kind() { return this.kinds.get(this.service.value); }

  get #chosen() { return this.methods.get(this.method.value); }

  // Who comes back to a service finds the method that he had chosen there.
  #showService() {
    const kind = this.#kind, last = this.#lastOf.get(kind.service);
    say(this.methodOf, `Method of ${kind.name}`);
    say(this.uses, kind.uses.length ? `What ${kind.name} changes of ${listed(kind.uses)} within a call is part of the same update.` : "");
    this.method.replaceChildren(...groups(kind.methods));
    if (last) this.method.value = last;
    this.#show();
  }

  #show() {
    const method = this.#chosen;
    this.#lastOf.set(this.#kind.service, method.name);
    say(this.signature, method.signature);
    say(this.about, method.about);
    say(this.raises, method.raises.length ? `It may raise ${listed(method.raises)}.` : "");
    say(this.button, `Call ${method.name}`);
    this.#fields = method.fields.map((field, at) => new ArgumentField(field, at));
    this.inputs.replaceChildren(...this.#fields.map(field => field.element));
  }

  render(why) { mark(this.button, "aria-disabled", why ? "true" : null); }

  #submitted(event) {
    event.preventDefault();
    if (this.button.getAttribute("aria-disabled")) return;
    this.ask({method: this.#chosen.name, changes: this.#chosen.changes,
      arguments: Object.fromEntries(this.#fields.map(field => [field.name, field.written])), again: null});
  }
}

function groups(methods) {
  const options = changes => methods.filter(method => method.changes === changes).map(method => make("option", {value: method.name, text: method.plain}));
  return [["Change the state", options(true)], ["Only read", options(false)]].filter(([, found]) => found.length)
    .map(([label, found]) => make("optgroup", {label}, ...found));
}

/** One argument: how it is written says its annotation. */
class ArgumentField {
  constructor(field, at) {
    this.name = field.name;
    this.kind = field.kind;
    this.input = inputOf(field, `argument-${at}`);
    this.none = field.nullable ? make("input", {type: "checkbox", id: `argument-${at}-none`, checked: field.value === null, onchange: () => this.#changed()}) : null;
    const label = make("label", {for: `argument-${at}`}, make("span", {}, make("b", {text: field.name}), " ", make("span", {class: "says", text: field.says})), this.input);
    this.element = make("div", {class: "argument"}, label,
      this.none ? make("label", {class: "check", for: `argument-${at}-none`}, this.none, ` ${NONE}`, make("span", {class: "unseen", text: ` for ${field.name}`})) : "");
    this.#changed();
  }

  #changed() { this.input.disabled = Boolean(this.none?.checked); }

  get written() {
    if (this.none?.checked) return null;
    return this.kind === "bool" ? String(this.input.checked) : this.input.value;
  }
}

function inputOf(field, id) {
  const value = field.value ?? "";
  switch (field.kind) {
    case "bool": return make("input", {id, type: "checkbox", checked: value === "true"});
    case "choice": return make("select", {id}, ...field.options.map(option => make("option", {value: option, text: option === "null" ? NONE : option, selected: option === value})));
    case "int": return make("input", {id, type: "text", inputmode: "numeric", value, required: true, autocomplete: "off"});
    case "float": return make("input", {id, type: "text", inputmode: "decimal", value, required: true, autocomplete: "off"});
    case "value": {
      const area = make("textarea", {id, rows: value.length > SHORT ? 4 : 2, spellcheck: "false", autocomplete: "off", required: true});
      area.value = value;
      return area;
    }
    default: return make("input", {id, type: "text", value, autocomplete: "off", spellcheck: "false"});
  }
}

/** See `Answers`. */
export const methodWords = {
  done(call, answer) {
    if (answer.outcome === "declined") {
      const nothing = call.changes ? " Nothing was changed." : "", kind = answer.declared ? "" : " The class does not declare that.";
      return [make("p", {}, make("code", {text: answer.call}), ` raised ${raised(answer)}.${nothing}${kind}`)];
    }
    if (answer.value.length <= SHORT) return [make("p", {}, make("code", {text: answer.call}), " returned ", make("code", {text: answer.value}))];
    return [make("p", {}, make("code", {text: answer.call}), " returned"), make("pre", {class: "value", tabindex: "0", text: answer.value})];
  },
  came: answer => (answer.error ? `raised ${raised(answer)}` : `returned ${short(answer.value ?? "")}`),
};

const raised = answer => (answer.message ? `${answer.error}: ${answer.message}` : answer.error);
const short = text => (text.length <= SHORT ? text : `${text.slice(0, SHORT)}… (${counted(text.length, "character", "characters")})`);

/** What the load of classes is made of: how often which method, and with what. */
export class MethodMix {
  constructor(changed, kinds) {
    let at = 0;
    const groups = kinds.map(kind => ({kind, rows: kind.methods.map(method => this.#row(method, at++, changed))}));
    this.rows = groups.flatMap(group => group.rows);
    this.element = make("fieldset", {class: "mix"}, make("legend", {text: "What they call, how often, with which arguments"}),
      make("div", {class: "mix-row soft", "aria-hidden": "true"}, ...["method", "share", "arguments"].map(text => make("span", {text}))),
      ...groups.flatMap(group => [kinds.length > 1 ? make("p", {class: "mix-of", text: group.kind.service}) : "", ...group.rows.map(row => row.element)]));
  }

  #row(method, at, changed) {
    const share = make("input", {id: `share-${at}`, type: "number", min: 0, step: 1, value: 0, inputmode: "numeric", onchange: changed});
    const written = make("input", {id: `written-${at}`, type: "text", autocomplete: "off", spellcheck: "false", onchange: changed,
      placeholder: method.fields.length ? method.why_not_made_up ? "to be written" : "made up" : "none"});
    const element = make("div", {class: "mix-row"}, make("code", {title: method.signature}, ...breakable(method.plain)),
      make("label", {for: `share-${at}`}, make("span", {class: "unseen", text: `Share of ${method.name}`}), share),
      make("label", {for: `written-${at}`}, make("span", {class: "unseen", text: `Arguments of ${method.name}`}), written));
    return {name: method.name, share, written, element};
  }

  get asked() {
    return {mix: this.rows.map(row => ({method: row.name, share: Math.max(0, Math.round(Number(row.share.value)) || 0), arguments: row.written.value}))};
  }

  begin(load) {
    const told = new Map(load.mix.map(one => [one.method, one]));
    for (const row of this.rows) {
      const one = told.get(row.name);
      row.share.max = load.share_at_most;
      row.share.value = one?.share ?? 0;
      row.written.value = one?.arguments ?? "";
    }
  }

  render(why) {
    for (const row of this.rows) row.share.disabled = row.written.disabled = Boolean(why);
  }
}
